"""What is known of each language: signs, small words, and the sentences that open a question.

    tongue_of("es-MX") ─▶ Tongue("es": stop words, abbreviations, "Completa la frase:", …)

English is taken apart by `tagging` and `clauses` and gets questions of every form. The others get gaps, choices of what fills a gap, and
order, with small words of their own so that no gap asks for "the"; a language that is not here gets gaps alone, judged by how rare words
are in its text. Nothing is translated, and nothing is guessed of a language's grammar.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Tongue(NamedTuple):
    tag: str
    stop: frozenset[str]
    """Small words: never asked for, and never counted as what a sentence is about."""
    abbreviations: frozenset[str]
    """After which a full stop ends no sentence, without their last stop."""
    gap: str
    """Opens a question with a gap."""
    order: str
    """Opens a question about what came first."""
    several: str
    """Opens a question with several right options."""
    ordinals: bool = False
    """Whether a full stop after a number makes it an ordinal (German "3. Mai")."""
    determiners: frozenset[str] = frozenset()
    """Words after which a noun stands."""
    nouns: bool = False
    """Whether nouns, and they alone, are written with a capital."""
    capitals: bool = True
    """Whether a capital inside a sentence says that something is a name; in German every noun has one."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH: Final = Tongue(
    "en",
    _words(
        "a an the and or but nor so yet for of in on at to from by with into onto upon over under about after before between among through"
        " during without within against toward towards until till since than as if because although though while when whenever where"
        " wherever"
        " who whom whose which what that this these those there here it its he him his she her hers they them their theirs we us our ours"
        " you"
        " your yours i me my mine myself himself herself itself themselves is am are was were be been being have has had having do does did"
        " done will would shall should can could may might must not no never ever very too also just only even then now once again still"
        " quite rather almost such same other another some any each every all both few many much more most several one two up down out off"
        " away back said say says went go goes came come comes got get gets made make makes took take like well soon how why yes oh let"
    ),
    _words("mr mrs ms dr st prof sr jr vs etc e.g i.e fig no vol pp al cf approx inc ltd co"),
    "Complete the sentence:",
    "Put these in the order in which the text tells them.",
    "Which of these does the text name?",
)

SPANISH: Final = Tongue(
    "es",
    _words(
        "el la los las un una unos unas y e o u pero sino ni que de del a al en con sin por para sobre entre hasta desde hacia según"
        " durante"
        " contra tras como cuando donde porque aunque mientras si no sí ya muy más menos también tampoco tan tanto así bien mal solo sólo"
        " siempre nunca aquí allí ahí este esta estos estas ese esa esos esas aquel aquella aquellos aquellas esto eso aquello lo le les se"
        " me te nos os mi mis tu tus su sus nuestro nuestra nuestros nuestras yo tú él ella ellos ellas usted ustedes nosotros quien quién"
        " qué cuál cual cuales cuyo cuya es son era eran fue fueron ser sido siendo está están estaba estaban estar ha han había habían"
        " haber"
        " hay hace hacen tiene tienen tenía puede pueden otro otra otros otras todo toda todos todas cada mismo misma algo alguien alguno"
        " alguna algunos algunas ningún ninguna nada nadie mucho mucha muchos muchas poco poca dos tres uno entonces después antes luego"
    ),
    _words("sr sra srta dr dra d dña ud uds etc pág núm art av ee uu p.ej"),
    "Completa la frase:",
    "Ordena estas frases como las cuenta el texto.",
    "¿Cuáles de estas menciona el texto?",
    determiners=_words("el la los las un una unos unas del al su sus"),
)

FRENCH: Final = Tongue(
    "fr",
    _words(
        "le la les l un une des du de d et ou mais donc or ni car que qu qui quoi dont où à au aux en dans par pour sur sous avec sans"
        " entre"
        " vers chez depuis pendant avant après contre selon comme quand lorsque lorsqu si ne n pas plus moins très trop aussi bien mal peu"
        " beaucoup ce c cet cette ces ça cela ceci celui celle ceux celles il elle ils elles on je j tu nous vous me m te t se s lui leur"
        " leurs y mon ma mes ton ta tes son sa ses notre nos votre vos est sont était étaient être été fut furent a ont avait avaient avoir"
        " eu fait font faire peut peuvent tout toute tous toutes autre autres même mêmes chaque quelque quelques aucun aucune rien personne"
        " jamais toujours encore déjà ici là alors puis ensuite ainsi afin parce puisque tandis deux trois"
    ),
    _words("m mme mlle dr pr st ste etc cf p fig av env apr art vol ex"),
    "Complétez la phrase :",
    "Remettez ces phrases dans l’ordre du texte.",
    "Lesquels sont nommés dans le texte ?",
    determiners=_words("le la les un une des du au aux ce cette ces son sa ses"),
)

GERMAN: Final = Tongue(
    "de",
    _words(
        "der die das den dem des ein eine einen einem einer eines und oder aber denn sondern doch in im an am auf aus bei beim mit nach"
        " von vom"
        " zu zum zur über unter vor hinter neben zwischen durch für gegen ohne um bis seit während wegen trotz als wie wenn weil dass daß"
        " ob"
        " obwohl damit nachdem bevor ich du er sie es wir ihr mich dich sich uns euch ihm ihn ihnen mir dir mein meine dein deine sein"
        " seine"
        " seinen seinem seiner ihre ihren ihrem ihrer unser unsere euer eure dieser diese dieses diesen diesem jener jene jenes welcher"
        " welche"
        " welches der wer was wo wann warum nicht kein keine keinen keinem keiner nie nur noch schon auch sehr so zu mehr viel viele wenig"
        " alle alles jeder jede jedes man ist sind war waren sein gewesen bin bist hat haben hatte hatten wird werden wurde wurden worden"
        " kann"
        " können konnte muss müssen soll sollen will wollen darf dürfen mag da dann hier dort nun jetzt immer wieder etwas nichts zwei drei"
    ),
    _words("z.b d.h u.a usw bzw ca dr prof hr fr nr abb st vgl etc evtl ggf inkl max min mio mrd s o.ä jh jhd chr"),
    "Ergänze den Satz:",
    "Bringe diese Sätze in die Reihenfolge des Textes.",
    "Welche davon nennt der Text?",
    ordinals=True,
    nouns=True,
    capitals=False,
)

SWAHILI: Final = Tongue(
    "sw",
    _words(
        "na ya wa la za cha vya pa kwa ni si au lakini bali pia tu kama kwamba ili kuwa ambao ambayo ambaye ambapo katika kutoka hadi mpaka"
        " baada kabla wakati hii hiyo hizi hizo huyu huyo hawa hao hili hilo haya hayo hiki hicho hivi hivyo hapa hapo huu huo yake wake"
        " lake"
        " zake chake vyake yao wao lao zao yangu wangu yako wako yetu wetu mimi wewe yeye sisi ninyi wote yote zote kila sana zaidi bila"
        " hata bado tena kisha halafu basi sasa leo jana kesho moja mbili tatu nyingi wengi mengi ndiyo hapana ndani juu chini nje mbele"
        " nyuma"
        " alikuwa walikuwa ilikuwa yalikuwa ana wana ina kuna kulikuwa nini nani wapi lini je"
    ),
    _words("dkt bw bi prof n.k mh uk"),
    "Kamilisha sentensi:",
    "Panga sentensi hizi kwa mfuatano wa maandishi.",
    "Yapi kati ya haya yametajwa katika maandishi?",
)

ARABIC: Final = Tongue(
    "ar",
    _words(
        "من في على إلى عن مع بين حتى منذ خلال بعد قبل عند لدى حول دون ضد أو و ثم لكن بل أم إن أن إذا لو كما كي لكي لأن حيث بينما عندما هذا"
        " هذه"
        " ذلك تلك هؤلاء أولئك الذي التي الذين اللواتي ما ماذا لماذا كيف أين متى هل هو هي هم هن أنا نحن أنت أنتم كان كانت كانوا يكون تكون"
        " ليس"
        " ليست لا لم لن قد كل بعض غير أي أيضا جدا فقط هنا هناك له لها لهم به بها فيه فيها منه منها عليه عليها إليه إليها وهو وهي وكان وكانت"
        " وقد ولم ولا كذلك مثل أحد واحد نفس أكثر أقل"
    ),
    _words("د أ م"),
    "أكمل الجملة:",
    "رتّب هذه الجمل كما وردت في النص.",
    "أيّ مما يلي ورد في النص؟",
    capitals=False,
)

TONGUES: Final = {tongue.tag: tongue for tongue in (ENGLISH, SPANISH, FRENCH, GERMAN, SWAHILI, ARABIC)}
NONE: Final = Tongue("", frozenset(), frozenset(), "…", "…", "…")
"""For a language that is not here: gaps alone, opened by no words."""


def tongue_of(tag: str) -> Tongue:
    """By a language tag of any length ("de-AT"); what is not known gets `NONE`."""
    return TONGUES.get(tag.split("-")[0].split("_")[0].lower(), NONE)
