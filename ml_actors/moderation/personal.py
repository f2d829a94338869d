"""Personal data in a text: where they stand, and how sure that is.

    "mail me: kim@example.org or +49 151 23456789" ─▶ [8:23 e-mail 0.95] [27:43 phone 0.95]        "my number is 42" ─▶ nothing

Numbers are taken by their form and by what checks them: an account number by its remainder of 97, a card number by Luhn's sum, a phone
number by a plus, a leading zero, or a word beside it that says so. Everything else that is long and numeric (dates, decimals, ISBNs,
grades)
is left alone: in a school there are many numbers.

Invariant: spans are in code points of the text as it was given, do not overlap, and come in their order.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from actors.inference import Harm, Span


class Found(NamedTuple):
    begin: int
    end: int
    what: str
    chance: float


_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,4}[a-zA-Z]{2,24}(?![\w-])")
_ACCOUNT = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?!\w)")
_CARD = re.compile(r"(?<![\w.,+-])(?<![A-Za-z]{2}\d\d )(?:\d[ -]?){12,18}\d(?![\w]|[.,]\d)")
_PHONE = re.compile(r"(?<![\w.,/:=-])(?:\+|00)?\(?\d(?:[\d()]|[ ./-](?=[\d(])){5,20}\d(?![\w]|[.,:]\d)")
_CALLED = re.compile(
    r"(?:phone|call|mobile|cell|whats ?app|text me|ring me|signal|telegram|tel\b|telefon|handy|anruf|ruf mich|nummer|teléfono|llámame|"
    r"móvil|número"
    r"|téléphone|appelle|portable|numéro|my number|simu|nambari|nipigie|هاتف|رقم|اتصل)[^\d\n]{0,25}$",
    re.IGNORECASE,
)
_NOT_CALLED = re.compile(
    r"(?:isbn|issn|id|page|seite|room|raum|exercise|aufgabe|matrikel|order|€|\$|£|#|version)[^\w\n]{0,3}(?:is |ist |no\.? |nr\.? )?$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"^(?:\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d{2}(?: .*)?|(?:19|20)\d{2} ?[-/] ?(?:19|20)?\d{2})$"
)
_AMERICAN = re.compile(r"^(?:1[ .-])?(?:\(\d{3}\) ?\d{3}|[2-9]\d{2}[ .-][2-9]\d{2})[ .-]\d{4}$")
_ADDRESS = re.compile(
    # German: Hauptstraße 12, Am Lindenweg 3a          English: 12 Baker Street
    r"(?<!\w)(?:(?:[A-ZÄÖÜ][\wäöüß-]{1,40}(?:straße|strasse|str\.|weg|allee|gasse|platz|ring|ufer|damm))|(?:[A-ZÄÖÜ][\wäöüß-]{1,40} "
    r"(?:Straße|"
    r"Strasse|Str\.|Weg|Allee|Gasse|Platz)))"
    r" \d{1,4} ?[a-z]?(?!\w)"
    r"|(?<!\w)\d{1,5} (?:[A-Z][\w'.-]{1,40} ){1,3}(?:Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Lane|Drive|Dr\.|Boulevard|Blvd\.?|Court|Terrace|"
    r"Way)(?!\w)"
    # French: 12 rue de Lille          Spanish: calle Mayor 5
    r"|(?<!\w)\d{1,4},? (?:bis |ter )?(?:rue|avenue|boulevard|impasse|chemin)(?: (?:de|du|des|la|le|l'))* ?[A-ZÀ-Ý][\wà-ÿ'-]{1,40}"
    r"|(?<!\w)(?:[Cc]alle|[Aa]venida|[Pp]laza|[Pp]aseo) (?:(?:de|del|la|los|las) )*[A-ZÀ-Ý][\wà-ÿ'-]{1,40},? (?:n\.?º? ?)?\d{1,4}(?!\w)"
)
_HANDLE = re.compile(
    r"(?<!\w)(?:snap(?:chat)?|insta(?:gram)?|ig|discord|tik ?tok|telegram|kik|skype|signal|whats ?app)(?: (?:is|ist|name|id|user(?:name)?|"
    r"handle|me|es|est))*"
    r" ?(?::|=|@| is | ist | es | est ) ?@?(?P<name>(?=[\w.]{0,31}[\d_])[\w.]{2,31}\w(?:#\d{4})?|(?<=@)[\w.]{3,32})",
    re.IGNORECASE,
)
_DISCORD = re.compile(r"(?<![\w#])[\w.]{2,32}#\d{4}(?!\w)")


def _sum_of_account(text: str) -> bool:
    plain = text.replace(" ", "").upper()
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(mark, 36)) for mark in turned)) % 97 == 1


def _sum_of_card(digits: str) -> bool:
    if len(set(digits)) < 3 or digits[0] not in "23456":
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _phone(text: str, begin: int, end: int) -> float:
    """How sure it is that these digits are somebody's phone number."""
    written = text[begin:end]
    digits = re.sub(r"\D", "", written)
    if not 7 <= len(digits) <= 15 or _DATE.match(written) or _NOT_CALLED.search(text[max(0, begin - 20) : begin]):
        return 0.0
    if len(set(digits)) == 1 or digits in "01234567890123456789":
        return 0.0
    called = _CALLED.search(text[max(0, begin - 45) : begin]) is not None
    if written[0] == "+" or (called and len(digits) >= 7):
        return 0.95
    if _AMERICAN.match(written):
        return 0.9
    if digits[0] == "0" and 9 <= len(digits) <= 14 and re.search(r"^(?:00\d|\(?0[1-9]\d{1,4}\)?[ /-]?\d)", written):
        return 0.85 if re.search(r"[ /-]", written) else 0.7
    return 0.0


def personal(text: str) -> list[Found]:
    """What was found, in its order, without overlaps: the surer one stays."""
    found: list[Found] = [Found(*hit.span(), "e-mail", 0.95) for hit in _MAIL.finditer(text)]
    if any(mark.isdigit() for mark in text):
        found += [Found(*hit.span(), "account", 0.97) for hit in _ACCOUNT.finditer(text) if _sum_of_account(hit[0])]
        found += [Found(*hit.span(), "card", 0.96) for hit in _CARD.finditer(text) if _sum_of_card(re.sub(r"\D", "", hit[0]))]
        found += [Found(*hit.span(), "phone", chance) for hit in _PHONE.finditer(text) if (chance := _phone(text, *hit.span()))]
        found += [Found(*hit.span(), "address", 0.75) for hit in _ADDRESS.finditer(text)]
        found += [Found(*hit.span(), "handle", 0.75) for hit in _DISCORD.finditer(text)]
    found += [Found(*hit.span("name"), "handle", 0.8) for hit in _HANDLE.finditer(text)]
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (-one.chance, one.begin)):
        if all(one.end <= other.begin or one.begin >= other.end for other in kept):
            kept.append(one)
    return sorted(kept)


def spans(found: list[Found]) -> tuple[Span, ...]:
    return tuple(Span(Harm.PERSONAL, one.begin, one.end, one.what) for one in found)
