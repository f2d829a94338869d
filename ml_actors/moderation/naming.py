"""Names of groups of people, taken out of a text before its harm is judged.

    "a muslim family lives here" ─▶ "a family lives here"        "muslims are great" ─▶ "people are great"
    "muslims are vermin"         ─▶ "people are vermin": as vile as before

Crowd labels teach any model that whoever is insulted often is insulting to name. What is said of a group is judged as if it were said
of people; that a group was named is kept beside it, because it makes contempt into hate. Slurs are not names: they stay.

The lists are short and incomplete: a group that is missing is judged by what training taught of others (see docs/moderation-model.md for
how well that goes). The price is that what is only vile of a group ("send the Turks home") scores as if said of anybody.

Invariant: a sentence and the same sentence with another listed group have the same scores.
"""

from __future__ import annotations

import re
from typing import Final

# Nouns for many, nouns for one, adjectives; all lower case, as `writing.plain` gives them.
_MANY_EN: Final = """muslims jews christians catholics protestants hindus buddhists sikhs atheists mormons
women men ladies girls boys gays lesbians bisexuals homosexuals heterosexuals transsexuals blacks whites
asians latinos latinas hispanics mexicans africans arabs turks kurds indians pakistanis americans germans
russians ukrainians poles romanians syrians afghans iraqis iranians israelis palestinians nigerians somalis
kenyans tanzanians ugandans ethiopians egyptians moroccans algerians brazilians colombians filipinos koreans
vietnamese europeans italians spaniards frenchmen greeks serbs albanians canadians australians armenians
georgians jamaicans haitians immigrants migrants refugees foreigners asylum-seekers gypsies romani autistics
seniors pensioners feminists natives aborigines"""
_ONE_EN: Final = """woman man lady girl boy jew turk kurd arab pole immigrant migrant refugee foreigner
feminist atheist lesbian"""
_ADJECTIVES_EN: Final = """lgbt lgbtq homeless undocumented sunni shia amish mormon intersex asexual pansexual cisgender dyslexic paralyzed
caucasian biracial mixed-race nonreligious secular overweight
muslim islamic jewish christian catholic protestant hindu buddhist sikh mormon gay homosexual heterosexual
straight
bisexual queer trans transgender transsexual non-binary nonbinary black white asian latino latina hispanic mexican african african-american
arabic turkish kurdish indian pakistani american german russian ukrainian polish romanian syrian afghan iraqi iranian israeli palestinian
nigerian somali kenyan tanzanian ugandan ethiopian egyptian moroccan algerian brazilian colombian filipino european italian spanish french
greek serbian albanian canadian australian armenian jamaican haitian british irish dutch swedish chinese japanese korean vietnamese roma
sinti disabled handicapped deaf blind autistic elderly
indigenous aboriginal native female male foreign"""
_MANY_DE: Final = """muslime muslimen musliminnen moslems juden christen katholiken protestanten hindus
buddhisten sikhs atheisten frauen männer männern mädchen jungs schwule schwulen lesben bisexuelle bisexuellen
homosexuelle homosexuellen transsexuelle schwarze schwarzen weiße weißen asiaten araber arabern türken kurden
inder afrikaner afrikanern amerikaner deutsche deutschen russen ukrainer polen rumänen syrer syrern afghanen
iraker iraner israelis palästinenser chinesen japaner vietnamesen einwanderer einwanderern migranten
migrantinnen flüchtlinge flüchtlingen geflüchtete geflüchteten ausländer ausländern asylanten asylbewerber
roma sinti behinderte behinderten gehörlose blinde autisten rentner senioren"""
_ONE_DE: Final = """muslim muslimin moslem jude jüdin christ christin katholik hindu buddhist sikh atheist
frau mann mädchen junge schwuler lesbe asiate asiatin araber araberin türke türkin kurde kurdin inder
afrikaner afrikanerin amerikaner deutscher russe ukrainer ukrainerin pole rumäne syrer afghane iraker iraner
israeli palästinenser chinese chinesin japaner einwanderer migrant migrantin flüchtling ausländer asylant
roma-junge"""
_STEMS_DE: Final = """muslimisch islamisch jüdisch christlich katholisch evangelisch hinduistisch
buddhistisch schwul lesbisch bisexuell homosexuell transsexuell asiatisch arabisch türkisch kurdisch indisch
afrikanisch amerikanisch russisch ukrainisch polnisch rumänisch syrisch afghanisch chinesisch japanisch
vietnamesisch behindert gehörlos blind autistisch ausländisch weiblich männlich indigen"""
_ES: Final = """musulmanes musulmanas judíos judías cristianos mujeres hombres negros negras blancos
gays lesbianas homosexuales inmigrantes refugiados africanos árabes turcos gitanos mexicanos ciegos sordos
asiáticos"""
_ONE_ES: Final = (
    "musulmán musulmana judío judía cristiano mujer hombre negro negra gay lesbiana inmigrante africano árabe turco gitano ciego ciega"
)
_FR: Final = """musulmans musulmanes juifs juives chrétiens femmes hommes noirs noires blancs gays
lesbiennes homosexuels immigrés réfugiés africains arabes turcs roms aveugles sourds asiatiques"""
_ONE_FR: Final = "musulman musulmane juif juive chrétien femme homme noir noire gay lesbienne immigré réfugié africain arabe turc aveugle"
_SW: Final = "waislamu wakristo wanawake wanaume waafrika wazungu wahindi wasomali vipofu viziwi walemavu wakimbizi"
_ONE_SW: Final = "mwislamu mkristo mwanamke mwanaume mwafrika mzungu mhindi msomali kipofu mkimbizi"
_AR: Final = "المسلمون المسلمين المسيحيون المسيحيين اليهود النساء الرجال الأفارقة العرب الأكراد اللاجئون اللاجئين المهاجرون السود"
_ONE_AR: Final = "مسلم مسلمة مسيحي مسيحية يهودي امرأة رجل أفريقي عربي كردي لاجئ مهاجر"


Table = dict[str, tuple[str, str]]
"""Word -> (what stands for it before a noun, what stands for it otherwise)."""


def _english() -> Table:
    found: Table = {}
    for words, instead in ((_ONE_EN, "person"), (_MANY_EN, "people")):
        for word in words.split():
            found[word] = (instead, instead)
    for word in _ADJECTIVES_EN.split():
        found[word] = ("", "new")
    found["persons"] = ("people", "people")
    return found


def _others() -> Table:
    found: Table = {}
    for words, instead in (
        (_ONE_AR, "شخص"),
        (_AR, "الناس"),
        (_ONE_SW, "mtu"),
        (_SW, "watu"),
        (_ONE_FR, "personne"),
        (_FR, "gens"),
        (_ONE_ES, "persona"),
        (_ES, "personas"),
        (_ONE_DE, "mensch"),
        (_MANY_DE, "menschen"),
    ):
        for word in words.split():
            found[word] = (instead, instead)
    # Words for anybody become the one that stands for a name, too: a sentence and its twin without a name read alike.
    found.update({"personen": ("menschen", "menschen"), "leute": ("menschen", "menschen"), "leuten": ("menschen", "menschen")})
    for stem in _STEMS_DE.split():
        for ending in ("", "e", "er", "en", "es", "em"):
            # "schwule" is a noun by itself, and an adjective before one.
            found[stem + ending] = ("", found.get(stem + ending, ("", "neu"))[1])
    return found


_IN_ENGLISH: Final = _english()
_IN_OTHERS: Final = _others()
_GERMAN = re.compile(
    r"(?<!\w)(?:der|das|dem|den|ein|eine|einen|und|ist|sind|war|waren|ich|nicht|mit|von|auf|für|zu|auch|wie|bei|haben|hat|wir|ihr|finde|viele|kann)(?!\w)"
)
"""Words of German alone ("die" and "im" are none): they tell whose "hindus" and "roma" these are."""
_EITHER: Final = frozenset(word for word in _MANY_DE.split() if _IN_OTHERS[word][0] == "")
"""German adjectives that are nouns, too; without capitals only what follows tells."""
_BEARERS: Final = frozenset(
    "menschen mensch person personen leute leuten mann männer männern frau frauen kind kinder kindern jugendliche jugendlichen paar paare "
    "paaren mädchen jungs junge jungen mitbürger schüler schülerin schülerinnen lehrer "
    "lehrerin freund freunde freundin familie familien".split()
)
_ANYBODY: Final = frozenset(("personen", "leute", "leuten", "persons"))
# Whoever is followed by one of these stands alone: "he is muslim and …", "he is muslim."
_ALONE: Final = frozenset(
    "and or but is are was were who that which in on at to from for with of as has have had will would can do does did und oder aber ist "
    "sind "
    "war waren der die das in im an auf zu von für mit als hat haben".split()
)
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_ARTICLE = re.compile(
    r"(?<!\w)(?:(an)(?= person(?!\w))|(eine[rmns]? (?:mensch|person)|ein person)|(un)(?= persona(?!\w))|(un)(?= personne(?!\w)))(?!\w)"
)
_AGE = re.compile(
    r"(?<!\w)(?:old|older|young|alte[rnms]?|ältere[rnms]?|junge[rnms]?) "
    r"(?=(?:people|person|man|men|woman|women|lady|ladies|mensch\w*|mann|männern?|frau|frauen|leuten?)(?!\w))"
)
_WITH = re.compile(
    r"(?<!\w)(?:with (?:an? )?(?:disabilit(?:y|ies)|autism|down syndrome)|of colou?r|in (?:an? )?wheelchairs?"
    r"|mit (?:einer )?behinderung(?:en)?"
    r"|im rollstuhl)(?!\w) ?"
)
"""What is said of people behind the word for them."""
_ARTICLES: Final = (None, "a", "ein mensch", "una", "une")


def unnamed(text: str) -> tuple[str, int]:
    """A plain text without the names of groups, and how many there were."""
    out: list[str] = []
    last = 0
    text, aged = _AGE.subn("", text)
    text, of = _WITH.subn("", text)
    named = aged + of
    for found in _WORD.finditer(text):
        instead = _IN_OTHERS.get(found[0])
        english = _IN_ENGLISH.get(found[0])
        if english is not None and (instead is None or not _GERMAN.search(text)):
            instead = english
        if instead is None:
            continue
        named += found[0] not in _ANYBODY
        after = _WORD.match(text, found.end() + 1) if text[found.end() : found.end() + 1] == " " else None
        if instead is not english and found[0] in _EITHER:
            before_noun = after is not None and after[0] in _BEARERS
        else:
            before_noun = after is not None and after[0] not in _ALONE
        word = instead[0] if before_noun else instead[1]
        out.append(text[last : found.start()])
        out.append(word)
        last = found.end()
        if not word and text[last : last + 1] == " ":
            last += 1
    if out:
        out.append(text[last:])
        text = "".join(out)
    return _ARTICLE.sub(lambda hit: _ARTICLES[hit.lastindex or 1] or "", text).strip(), named
