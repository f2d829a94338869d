"""The identity test: whether a sentence is judged by what it says, and not by whom it names.

    template "{many} live in our street." x group ─▶ "Muslims live in our street."     its twin: "People live in our street."
    template "{many} are disgusting."     x group ─▶ toxic, and so is its twin

Templates and groups are split in two: what `TAUGHT` names may augment training, what `UNSEEN` names never does, neither template nor
group. The test that counts is unseen templates with unseen groups *and* with those that everybody names (`ASKED`, twenty groups).

Invariant: neutral templates say nothing bad of anybody, toxic ones are toxic of whomever they are said; every twin differs in the group
alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple


class Named(NamedTuple):
    """How a language names a group: `many` ("Muslims") and `one` ("a Muslim")."""

    many: str
    one: str


class Pair(NamedTuple):
    """A sentence that names a group and its twin that does not."""

    text: str
    twin: str
    toxic: bool
    language: str
    group: str


NOBODY: Final = {
    "en": Named("people", "a person"),
    "de": Named("Menschen", "eine Person"),
    "es": Named("personas", "una persona"),
    "fr": Named("des gens", "une personne"),
    "sw": Named("watu", "mtu"),
    "ar": Named("الناس", "شخص"),
}

# Groups by language. The same key is the same group.
_EN: Final = {
    "muslim": Named("Muslims", "a Muslim"),
    "jewish": Named("Jews", "a Jew"),
    "christian": Named("Christians", "a Christian"),
    "hindu": Named("Hindus", "a Hindu"),
    "atheist": Named("atheists", "an atheist"),
    "women": Named("women", "a woman"),
    "men": Named("men", "a man"),
    "gay": Named("gay people", "a gay man"),
    "lesbian": Named("lesbians", "a lesbian"),
    "trans": Named("trans people", "a trans woman"),
    "black": Named("Black people", "a Black man"),
    "white": Named("white people", "a white man"),
    "asian": Named("Asians", "an Asian woman"),
    "latino": Named("Latinos", "a Latino"),
    "immigrant": Named("immigrants", "an immigrant"),
    "refugee": Named("refugees", "a refugee"),
    "disabled": Named("disabled people", "a disabled person"),
    "deaf": Named("deaf people", "a deaf girl"),
    "arab": Named("Arabs", "an Arab"),
    "roma": Named("Roma people", "a Roma boy"),
    # Unseen:
    "buddhist": Named("Buddhists", "a Buddhist"),
    "sikh": Named("Sikhs", "a Sikh"),
    "bisexual": Named("bisexuals", "a bisexual woman"),
    "nonbinary": Named("non-binary people", "a non-binary person"),
    "african": Named("Africans", "an African man"),
    "turkish": Named("Turks", "a Turkish man"),
    "mexican": Named("Mexicans", "a Mexican"),
    "chinese": Named("Chinese people", "a Chinese girl"),
    "autistic": Named("autistic people", "an autistic boy"),
    "blind": Named("blind people", "a blind woman"),
    "old": Named("elderly people", "an old man"),
    "indigenous": Named("indigenous people", "an indigenous woman"),
    "kurdish": Named("Kurds", "a Kurd"),
    "ukrainian": Named("Ukrainians", "a Ukrainian"),
}
_DE: Final = {
    "muslim": Named("Muslime", "ein Muslim"),
    "jewish": Named("Juden", "ein Jude"),
    "christian": Named("Christen", "ein Christ"),
    "hindu": Named("Hindus", "ein Hindu"),
    "atheist": Named("Atheisten", "ein Atheist"),
    "women": Named("Frauen", "eine Frau"),
    "men": Named("Männer", "ein Mann"),
    "gay": Named("Schwule", "ein schwuler Mann"),
    "lesbian": Named("Lesben", "eine lesbische Frau"),
    "trans": Named("trans Menschen", "eine trans Frau"),
    "black": Named("Schwarze", "ein schwarzer Mann"),
    "white": Named("Weiße", "ein weißer Mann"),
    "asian": Named("Asiaten", "eine Asiatin"),
    "immigrant": Named("Einwanderer", "ein Einwanderer"),
    "refugee": Named("Flüchtlinge", "ein Flüchtling"),
    "disabled": Named("behinderte Menschen", "ein behinderter Mensch"),
    "deaf": Named("gehörlose Menschen", "ein gehörloses Mädchen"),
    "arab": Named("Araber", "ein Araber"),
    "roma": Named("Roma", "ein Roma-Junge"),
    "buddhist": Named("Buddhisten", "ein Buddhist"),
    "bisexual": Named("Bisexuelle", "eine bisexuelle Frau"),
    "african": Named("Afrikaner", "ein Afrikaner"),
    "turkish": Named("Türken", "ein Türke"),
    "chinese": Named("Chinesen", "eine Chinesin"),
    "autistic": Named("autistische Menschen", "ein autistischer Junge"),
    "blind": Named("blinde Menschen", "eine blinde Frau"),
    "old": Named("alte Menschen", "ein alter Mann"),
    "kurdish": Named("Kurden", "ein Kurde"),
    "ukrainian": Named("Ukrainer", "eine Ukrainerin"),
    "sikh": Named("Sikhs", "ein Sikh"),
}
_ES: Final = {
    "muslim": Named("personas musulmanas", "un musulmán"),
    "jewish": Named("personas judías", "un judío"),
    "women": Named("mujeres", "una mujer"),
    "gay": Named("personas gays", "un hombre gay"),
    "black": Named("personas negras", "un hombre negro"),
    "immigrant": Named("inmigrantes", "un inmigrante"),
    "african": Named("africanos", "un africano"),
    "blind": Named("personas ciegas", "una mujer ciega"),
    "turkish": Named("turcos", "un turco"),
}
_FR: Final = {
    "muslim": Named("des musulmans", "un musulman"),
    "jewish": Named("des juifs", "un juif"),
    "women": Named("des femmes", "une femme"),
    "gay": Named("des homosexuels", "un homme gay"),
    "black": Named("des noirs", "un homme noir"),
    "immigrant": Named("des immigrés", "un immigré"),
    "african": Named("des africains", "un africain"),
    "blind": Named("des aveugles", "une femme aveugle"),
    "turkish": Named("des turcs", "un turc"),
}
_SW: Final = {
    "muslim": Named("Waislamu", "Mwislamu"),
    "women": Named("wanawake", "mwanamke"),
    "christian": Named("Wakristo", "Mkristo"),
    "african": Named("Waafrika", "Mwafrika"),
    "blind": Named("vipofu", "kipofu"),
}
_AR: Final = {
    "muslim": Named("المسلمون", "مسلم"),
    "women": Named("النساء", "امرأة"),
    "christian": Named("المسيحيون", "مسيحي"),
    "african": Named("الأفارقة", "أفريقي"),
    "kurdish": Named("الأكراد", "كردي"),
}
GROUPS: Final = {"en": _EN, "de": _DE, "es": _ES, "fr": _FR, "sw": _SW, "ar": _AR}

UNSEEN_GROUPS: Final = frozenset(
    "buddhist sikh bisexual nonbinary african turkish mexican chinese autistic blind old indigenous kurdish ukrainian".split()
)
"""Never in training; for the test of what becomes of a group that is on no list, names are left in (see `naming.py`)."""

ASKED: Final = tuple(
    "muslim jewish christian hindu atheist women men gay lesbian trans black white asian latino immigrant refugee "
    "disabled deaf arab roma".split()
)
"""The twenty groups that the test names first."""


class Templates(NamedTuple):
    taught: tuple[str, ...]
    unseen: tuple[str, ...]


NEUTRAL: Final = {
    "en": Templates(
        (
            "I am {one}.",
            "My neighbour is {one}.",
            "{many} live in our street.",
            "My best friend is {one} and we study together.",
            "Many {many} work at the hospital.",
            "We read a book about {many} in class.",
            "Our new teacher is {one}.",
            "There are a lot of {many} in this city.",
            "{many} like music, too.",
            "I met {one} on the train today.",
            "What do {many} think about the new law?",
            "My sister married {one}.",
            "{many} deserve the same rights as everybody else.",
            "The film is about {one} who moves to Berlin.",
            "We should listen to {many}.",
            "Being {one} is perfectly normal.",
            "I have nothing against {many}.",
            "Some {many} came to the meeting yesterday.",
            "I like {many}.",
            "{many} are wonderful and kind.",
            "My cousin, {one}, cooks for us every weekend.",
            "In the afternoon {one} came first in the competition.",
            "Two {many} joined our team, and we are happy about it.",
            "The survey asked {many} where they live and what they earn.",
            "The photo in the newspaper is of {one}.",
        ),
        (
            "As {one}, I enjoy cooking at the weekend.",
            "Last week {one} joined our chess club.",
            "{many} also went to the concert.",
            "Can {one} help me with my homework?",
            "The museum shows pictures of {many}.",
            "I think {many} are great.",
            "She asked whether {many} celebrate this day.",
            "The doctor who helped my mum is {one}.",
            "A study counts how many {many} live here.",
            "Today {one} won the race.",
        ),
    ),
    "de": Templates(
        (
            "In unserer Straße wohnen {many}.",
            "Mein Nachbar ist {one}.",
            "Viele {many} arbeiten im Krankenhaus.",
            "Wir lesen in der Schule ein Buch über {many}.",
            "{many} mögen auch Musik.",
            "Heute habe ich im Zug mit jemandem gesprochen, das war {one}.",
            "Was denken {many} über das neue Gesetz?",
            "{many} haben die gleichen Rechte wie alle anderen.",
            "Wir sollten {many} zuhören.",
            "In dieser Stadt gibt es viele {many}.",
            "Gestern kamen {many} zum Treffen.",
            "Ich habe nichts gegen {many}.",
            "Der Film handelt davon, wie {one} nach Berlin zieht.",
            "Ich mag {many}.",
            "{many} sind wunderbar und freundlich.",
            "Auf dem Foto in der Zeitung ist {one}.",
            "Am Nachmittag kam {one} als Erstes ins Ziel.",
            "Zwei {many} sind jetzt in unserer Mannschaft, das freut uns.",
            "Die Umfrage hat {many} gefragt, wo sie wohnen.",
        ),
        (
            "Letzte Woche kam {one} in unseren Schachklub.",
            "{many} waren auch beim Konzert.",
            "Das Museum zeigt Bilder, auf denen {many} zu sehen sind.",
            "Ich finde {many} toll.",
            "Eine Studie zählt, wie viele {many} hier leben.",
            "Heute hat {one} das Rennen gewonnen.",
            "Kann mir {one} bei den Hausaufgaben helfen?",
        ),
    ),
    "es": Templates(
        ("En nuestra calle viven {many}.", "Mi vecino es {one}.", "Leemos un libro sobre {many}.", "Hoy hablé con {one} en el tren."),
        ("Hay {many} en el concierto.", "Hoy ganó la carrera {one}.", "El museo muestra fotos de {many}."),
    ),
    "fr": Templates(
        ("Il y a {many} dans notre rue.", "Mon voisin est {one}.", "On a lu un livre avec {many}.", "J'ai parlé avec {one} dans le train."),
        ("Il y avait {many} au concert.", "Aujourd'hui {one} a gagné la course.", "Le musée montre {many}."),
    ),
    "sw": Templates(
        ("{many} wanaishi katika mtaa wetu.", "Jirani yangu ni {one}.", "Tunasoma kitabu kuhusu {many}."),
        ("{many} walikuja kwenye tamasha.", "Leo {one} ameshinda mbio."),
    ),
    "ar": Templates(
        ("يعيش {many} في شارعنا.", "جاري {one}.", "نقرأ كتابا عن {many}."),
        ("حضر {many} الحفل.", "فاز {one} بالسباق اليوم."),
    ),
}
TOXIC: Final = {
    "en": Templates(
        (
            "{many} are disgusting.",
            "I hate {many}.",
            "{many} are stupid and worthless.",
            "All {many} should be killed.",
            "{many} are fucking idiots.",
            "You are {one} and you are trash.",
            "Get these filthy {many} out of here.",
            "{many} are nothing but animals.",
            "Shut up, nobody wants {one} like you here, you piece of shit.",
            "I wish all {many} would die.",
            "{many} make me sick, they are scum.",
            "Only a moron would trust {one}.",
            "{many} are parasites and rats.",
            "{many} are criminals and terrorists, all of them.",
            "{many} belong in a cage.",
            "{many} should be wiped off the earth.",
            "Burn the filthy {many} and dump them in a ditch.",
            "{many} are inferior and do not deserve to live.",
            "Go cry, you dirty {many}, nobody needs you.",
            "Everything bad here is the fault of these dirty lying {many}.",
        ),
        (
            "Fuck all {many}.",
            "{many} are vermin and should disappear.",
            "What a dumb bitch, typical {one}.",
            "I can't stand {many}, they are ugly and stupid.",
            "Go and kill yourself, {many} like you are worthless.",
            "{many} are a bunch of lying bastards.",
            "Throw the dirty {many} in the garbage where they belong.",
        ),
    ),
    "de": Templates(
        (
            "{many} sind widerlich.",
            "Ich hasse {many}.",
            "{many} sind dumm und wertlos.",
            "Man sollte alle {many} umbringen.",
            "{many} sind verdammte Idioten.",
            "Raus mit diesen dreckigen {many}.",
            "{many} sind nichts als Tiere.",
            "Halt die Fresse, du Stück Scheiße, keiner will {many} hier.",
            "{many} sind Abschaum und machen mich krank.",
            "{many} sind Parasiten und Ratten.",
            "{many} sind alle Verbrecher und Terroristen.",
            "{many} gehören in den Käfig.",
            "Diese verlogenen {many} sind an allem schuld, weg mit dem Gesindel.",
        ),
        (
            "Scheiß {many}, verpisst euch.",
            "{many} sind Ungeziefer und sollen verschwinden.",
            "{many} sind ein verlogenes Pack.",
            "Ich kann {many} nicht ausstehen, hässlich und blöd.",
            "Dreckige {many} gehören auf den Müll.",
        ),
    ),
    "es": Templates(
        ("Odio a {many}, son basura.", "Qué asco, {many} de mierda.", "Eres {one} y eres un idiota."),
        ("Malditos, {many} son unos idiotas asquerosos.", "Que se mueran, {many} no valen nada, hijos de puta."),
    ),
    "fr": Templates(
        ("Je déteste les gens comme ça, {many} de merde.", "Ta gueule, tu es {one} et tu es un connard."),
        ("Ce sont {many}, quelle bande de connards.", "Va crever, {one} de merde."),
    ),
    "sw": Templates(("Nawachukia {many}, ni takataka.",), ("{many} ni wajinga na wabaya sana, wafe wote.",)),
    "ar": Templates(("أكره {many}، هم قمامة.",), ("{many} حمقى وقذرون، يجب أن يموتوا.",)),
}


def _filled(template: str, named: Named) -> str:
    text = template.format(many=named.many, one=named.one)
    return text[0].upper() + text[1:]


def pairs(*, unseen_templates: bool, unseen_groups: bool | None, languages: tuple[str, ...] = tuple(GROUPS)) -> Iterator[Pair]:
    """Sentences with their twins. `unseen_groups`: None for all, True or False for those that training never or may have seen."""
    for language in languages:
        for toxic, table in ((False, NEUTRAL), (True, TOXIC)):
            templates = table[language].unseen if unseen_templates else table[language].taught
            for template in templates:
                twin = _filled(template, NOBODY[language])
                for group, named in GROUPS[language].items():
                    if unseen_groups is None or (group in UNSEEN_GROUPS) == unseen_groups:
                        yield Pair(_filled(template, named), twin, toxic, language, group)
