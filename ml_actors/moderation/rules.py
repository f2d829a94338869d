"""What is found by rules: threats, sexual words, words of somebody in need, and spam.

    plain text ─▶ for each harm its phrases, language by language ─▶ the highest chance of those that stand in it; 0.02 where none does

There is no free labelled data for these, so they are what a person can read and mend: short lists of phrases, each with a chance that was
set by hand (`SURE` 0.9, `LIKELY` 0.7, `MAYBE` 0.35: below every threshold by itself, for a person's eye). They find what is said
plainly in six languages, and miss what is not. A phrase is looked for in every language, whatever the text's is: people mix them.

Invariant: a rule looks at a person as its object ("kill you", "mich umbringen"), never at a word alone, where the word has a place in a
school.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

from actors.inference import Harm

SURE: Final = 0.9
LIKELY: Final = 0.7
MAYBE: Final = 0.35
NOTHING: Final = 0.02
"""What no rule found may still be there."""


class Rule(NamedTuple):
    harm: Harm
    chance: float
    phrase: re.Pattern[str]


def _rules(harm: Harm, chance: float, *phrases: str) -> Rule:
    return Rule(harm, chance, re.compile(r"(?<!\w)(?:" + "|".join(phrases) + r")(?!\w)"))


# Shorthands inside phrases.
_I_WILL = (
    r"(?:(?:i|we)(?:'ll|’ll| will|'m going to|’m going to| am going to| are going to|'m gonna|’m gonna| gonna| want to| should)"
    r"|imma|i'?ma|lemme)(?: \w+)?"
)
_YOU = r"(?:you|u|ya|him|her|them|your (?:\w+ )?(?:family|mother|mom|mum|sister|brother|dog|cat|face))"
_DICH = r"(?:dich|euch|ihn|sie|deine? (?:\w+ )?(?:familie|mutter|schwester|bruder|vater))"

RULES: Final = (
    _rules(
        Harm.THREAT,
        SURE,
        _I_WILL + r" (?:kill|murder|stab|shoot|strangle|rape|beat up|burn|hang|slap|hurt|punch|destroy|smash|end) " + _YOU,
        _I_WILL + r" beat " + _YOU + r"(?: up)?",
        r"(?:you|u)(?:'re| are|r)? (?:so )?dead (?:meat|man|to ?morrow|after school|when i)",
        r"i(?:'ll| will) (?:find|get) (?:you|u) and (?:kill|hurt|beat)",
        r"(?:somebody|someone|they) should (?:kill|shoot|stab|hang) " + _YOU,
        r"(?:you|they|he|she) (?:deserves?|ought|should|must|need to) (?:to )?(?:be (?:killed|shot|hanged|gassed|raped|beaten)|die)",
        r"ich (?:bring|bringe|schlag|schlage|stech|steche|mach|mache|hau|knall|knalle|trete|tret|werde) "
        + _DICH
        + r"(?: \w+){0,3} (?:um|tot|ab|kaputt|kalt|zusammen|umbringen|abstechen|töten|schlagen|verprügeln)",
        r"(?:dich|euch|ihn|sie|die|den) (?:sollte|müsste) man (?:alle )?(?:umbringen|erschießen|vergasen|aufhängen|abstechen|totschlagen|"
        r"verprügeln)",
        r"(?:te|os|los|lo|la) (?:voy|vamos) a (?:matar|golpear|pegar|apuñalar|violar)",
        r"(?:je vais|on va) (?:te|vous|le|la|les) (?:tuer|frapper|buter|défoncer|égorger|violer|casser la gueule)",
        r"nitaku(?:ua|piga|choma|umiza)",
        r"(?:سأقتلك|سوف أقتلك|ساقتلك|سأضربك|سوف أضربك|راح اقتلك)",
    ),
    _rules(
        Harm.THREAT,
        LIKELY,
        r"i know where (?:you|u) live",
        r"watch your back",
        r"(?:you|u) (?:will|'ll|are going to|gonna) (?:pay for (?:this|that)|regret (?:this|that)|bleed)",
        r"ich weiß,? wo (?:du wohnst|ihr wohnt|dein haus)",
        r"du bist (?:so gut wie )?tot",
        r"ich mach(?:e)? (?:dich|euch) fertig",
        r"du wirst (?:dafür )?(?:bezahlen|bluten|bereuen)",
        r"sé dónde vives",
        r"je sais où (?:tu habites|vous habitez)",
        r"najua unapoishi",
        r"أعرف أين تسكن",
    ),
    _rules(
        Harm.SELF_HARM,
        SURE,
        r"(?:kill|hang|hurt|harm|shoot|poison) (?:myself|my self)",
        r"kms",
        r"(?:end|take|taking|ending) my (?:own )?life",
        r"(?:don'?t|do not|dont|no longer) (?:want to|wanna) (?:live|be alive|wake up|exist)(?: any ?more)?",
        r"(?:i|just|really) (?:want to|wanna) (?:die|be dead)(?! (?:of|from|in|laughing|hard|lol|another|a))",
        r"cut(?:ting)? myself(?! (?:a|some|off|while|on|shaving|with (?:a )?paper))",
        r"(?:i am|i'm|im|am) (?:suicidal|thinking (?:about|of) suicide)",
        r"better off without me",
        r"mich (?:selbst )?(?:umbringen|töten|umzubringen|erhängen)",
        r"(?:bringe?|töte) (?:ich )?mich (?:\w+ )?um",
        r"(?:will|möchte|mag) (?:ich )?(?:einfach |nur |doch )*(?:nicht mehr (?:leben|da sein|aufwachen)|sterben|tot sein)",
        r"(?:ich )?ritze? (?:ich )?mich",
        r"mir das leben nehmen",
        r"(?:quiero|quisiera) (?:morirme|morir|matarme|suicidarme|desaparecer)",
        r"(?:no quiero|ya no quiero) (?:vivir|seguir viviendo)",
        r"(?:envie|veux) (?:de )?(?:mourir|me tuer|me suicider|en finir)",
        r"(?:je )?(?:ne )?veux plus vivre",
        r"nataka (?:kufa|kujiua)",
        r"(?:أريد أن أموت|اريد ان اموت|أريد الموت|سأنتحر|أفكر في الانتحار)",
    ),
    _rules(
        Harm.SELF_HARM,
        MAYBE,
        r"(?:suicide|suicidal|self[- ]harm)",
        r"(?:selbstmord|suizid|selbstverletzung)",
        r"(?:suicidio|suicidarse)",
        r"kujiua",
        r"انتحار",
    ),
    _rules(
        Harm.SEXUAL,
        SURE,
        r"(?:send|show|share|swap)(?: me| us)?(?: (?:your|some|ur|more))? (?:nudes?|nude pics?|naked (?:pics?|photos?)|tits|boobs)",
        r"(?:dick|pussy|cock) ?pics?",
        r"(?:porn|porno|pornhub|xvideos|hentai|onlyfans|gangbang|blow ?jobs?|hand ?jobs?|cumshots?|deepthroat|milfs?)",
        r"(?:suck|lick|ride) my (?:dick|cock|pussy|balls)",
        r"(?:have|having|want|wanna have) sex with (?:me|you|u|him|her)",
        r"(?:i'?m|im|so|feeling) horny",
        r"(?:nacktbilder|nacktfotos|pornos?|blasen lassen|titten|muschi lecken|wichsvorlage)",
        r"(?:schick|zeig|sende)(?: mir| uns)? (?:nacktbilder|nudes|deine (?:titten|brüste))",
        r"(?:porno|fotos? desnud[ao]s?|desnudos|mándame nudes|chúpame|mamada)",
        r"(?:photos? (?:nues?|de toi nue)|envoie(?:-moi)? (?:des |tes )?nudes|suce(?:-| )moi|une pipe)",
        r"(?:picha za uchi|ngono na (?:mimi|wewe))",
        r"(?:صور عارية|اباحي|إباحي|سكس)",
    ),
    _rules(
        Harm.SEXUAL,
        MAYBE,
        r"(?:sexy|nudes?|naked|boobs|tits|penis|vagina|orgasm|masturbat\w+|anal|erotic|hot body)",
        r"(?:geil auf dich|nackt|brüste|orgasmus)",
        r"(?:desnud[ao]|tetas|erótic[ao])",
        r"(?:nue?s?|seins|érotique)",
    ),
)

_MONEY = re.compile(
    r"(?<!\w)(?:free (?:money|gift|iphone|robux|v-?bucks|followers|crypto)|earn (?:up to )?[$€£]?\d+|make money|per day from home|bitcoin|"
    r"crypto|casino|"
    r"jackpot|lottery|click (?:here|now|below)|limited offer|act now|dm me for|cheap (?:followers|essays)|buy (?:now|followers|likes)|"
    r"promo code|"
    r"you (?:have )?won|claim your|investment|gratis (?:iphone|geld|guthaben)|jetzt (?:klicken|kaufen|sichern)|geld verdienen|gewonnen|"
    r"gutschein|"
    r"gana dinero|haz clic|dinero gratis|gagnez|cliquez ici|argent facile|pata pesa|shinda pesa|bonyeza hapa|اربح|اضغط هنا)(?!\w)"
)
_LINK = re.compile(
    r"(?:https?://|www\.)\S+|(?<![\w@.])(?:t\.me|bit\.ly|tinyurl\.com|chat\.whatsapp\.com|discord\.gg|wa\.me)/\S+", re.IGNORECASE
)
_INVITE = re.compile(r"(?:t\.me|chat\.whatsapp\.com|discord\.gg|wa\.me|bit\.ly|tinyurl\.com)/", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_SAME_MAX = 8
LINKS_MAX: Final = 4


def found_by_phrases(text: str) -> dict[Harm, float]:
    """For THREAT, SEXUAL and SELF_HARM the highest chance of a phrase in a plain text."""
    scores = {Harm.THREAT: NOTHING, Harm.SEXUAL: NOTHING, Harm.SELF_HARM: NOTHING}
    for rule in RULES:
        if rule.chance > scores[rule.harm] and rule.phrase.search(text):
            scores[rule.harm] = rule.chance
    return scores


def spam(original: str, text: str) -> float:
    """The chance that a text is advertisement or noise: links and money words together, many links, one word over and over.
    `text`: the plain form of `original`, in which there are no links."""
    links = len(_LINK.findall(original))
    lures = len(_MONEY.findall(text))
    if links and lures:
        return SURE
    if links > LINKS_MAX or lures > 1:
        return LIKELY
    words = _WORD.findall(text)
    most = max(Counter(words).values(), default=0)
    if most > _SAME_MAX and most * 2 > len(words):
        return LIKELY
    if lures or (links and _INVITE.search(original)):
        return MAYBE
    return NOTHING
