"""Mails as people read them: in their language, as text and as HTML, from the same words.

    messages/<language>.json ─▶ words of a template ─fill─▶ Letter ─▶ mail.txt.j2, mail.html.j2 ─▶ Rendered

What people wrote (names, lines) comes in as values: it is never part of a pattern or a template, loses its control characters, is escaped
in HTML, and is set apart in right-to-left text, so that a name can forge neither a line nor a mark-up nor an order of words.

Invariant: every language has every word, with the same places to fill in; a test compares them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import jinja2
import msgspec
from msgspec import Struct

from actors.notices import NoticeKind
from actors.sentences import read

DEFAULT_LANGUAGE: Final = "en"
RTL: Final = frozenset({"ar"})
LANGUAGES: Final = ("ar", "en", "es", "fr", "sw")
SUBJECT_LENGTH_MAX: Final = 120
VALUE_LENGTH_MAX: Final = 500
_PERSONAL: Final = frozenset({"actor", "name", "place", "words"})
_ISOLATE: Final = ("\u2068", "\u2069")
_KEPT_FORMATS: Final = frozenset("\u200c\u200d")
"""Joiners: words of some scripts are written with them. Other invisible characters, the ones that turn text around among them, go."""


class Line(Struct, frozen=True):
    """One notice in a mail."""

    kind: NoticeKind
    actor: str = ""
    place: str = ""
    words: str = ""
    link: str = ""


class Letter(Struct, frozen=True):
    """What a mail says. `link`: where its button leads. `unsubscribe`: where one says that no more of these are wanted."""

    template: str
    language: str = DEFAULT_LANGUAGE
    values: Mapping[str, str] = {}
    lines: Sequence[Line] = ()
    link: str = ""
    unsubscribe: str = ""


class Rendered(Struct, frozen=True):
    """A mail's three texts. `html` is a whole page."""

    language: str
    subject: str
    text: str
    html: str

    def __repr__(self) -> str:
        return f"Rendered(language={self.language!r})"


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    """A template in one language: paragraphs, the word on the button, the subject. `{name}` are places to fill in."""

    subject: str
    body: tuple[str, ...]
    button: str = ""


class Messages(Struct, frozen=True, forbid_unknown_fields=True):
    """A language."""

    greeting: str
    closing: str
    unsubscribe: str
    stop_question: str
    stop_button: str
    stopped: str
    somebody: str
    somewhere: str
    lines: Mapping[str, str]
    sentences: Mapping[str, str]
    """As `actors.sentences`."""
    templates: Mapping[str, Words]


class UnknownTemplate(Exception):
    """There is no such template, or a value that it needs is missing. The text names it, and no value."""


@cache
def messages(language: str) -> Messages:
    """The words of one of `LANGUAGES`."""
    raw = (files("gateway.mail") / "messages" / f"{language}.json").read_bytes()
    return msgspec.json.decode(raw, type=Messages)


def pick_language(tags: str) -> str:
    """The language to write in for a BCP 47 tag, or several separated by commas, best first: `pt-BR, fr` is French here."""
    for tag in tags.split(","):
        primary = tag.split(";")[0].strip().replace("_", "-").split("-")[0].lower()
        if primary in LANGUAGES:
            return primary
    return DEFAULT_LANGUAGE


def clean(value: str) -> str:
    """A value as one line without anything invisible."""
    kept = (
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or c in _KEPT_FORMATS else " "
        for c in value[:VALUE_LENGTH_MAX]
    )
    return " ".join("".join(kept).split())


def line_of(line: Line, language: str) -> str:
    """A notice as one sentence."""
    words = messages(language)
    said = line.words
    # Only where the server alone speaks: a reminder's words are its owner's, whatever they are like.
    sentence = read(said) if line.kind is NoticeKind.SECURITY else None
    if sentence is not None:
        key, values = sentence
        said = _fill(words.sentences[key], values, language)
    values = {"actor": line.actor or words.somebody, "place": line.place or words.somewhere, "words": said}
    return _fill(words.lines[line.kind.name.lower()], values, language)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.mail"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(letter: Letter) -> Rendered:
    """The mail's texts. Raises `UnknownTemplate`."""
    language = letter.language if letter.language in LANGUAGES else DEFAULT_LANGUAGE
    words = messages(language)
    template = words.templates.get(letter.template)
    if template is None:
        raise UnknownTemplate(f"no template {letter.template!r}; there are {', '.join(sorted(words.templates))}")
    values = {**letter.values, "count": letter.values.get("count", str(len(letter.lines)))}
    try:
        subject = _fill(template.subject, values, language)[:SUBJECT_LENGTH_MAX]
        paragraphs = [_fill(paragraph, values, language) for paragraph in template.body]
        greeting = _fill(words.greeting, {"name": values.get("name", "")}, language)
    except KeyError as missing:
        raise UnknownTemplate(f"the template {letter.template!r} needs a value for {missing}") from None
    link = letter.link if letter.link.startswith(("https://", "http://")) else ""
    context = {
        "language": language,
        "direction": "rtl" if language in RTL else "ltr",
        "subject": subject,
        "greeting": greeting,
        "paragraphs": paragraphs,
        "lines": [(line_of(line, language), line.link) for line in letter.lines],
        "link": link,
        "button": template.button or link,
        "closing": words.closing,
        "unsubscribe": letter.unsubscribe,
        "unsubscribe_words": words.unsubscribe,
    }
    environment = _environment()
    return Rendered(
        language,
        subject,
        environment.get_template("mail.txt.j2").render(context),
        environment.get_template("mail.html.j2").render(context),
    )


def _fill(pattern: str, values: Mapping[str, str], language: str) -> str:
    """The pattern with its places filled in. Raises `KeyError`."""
    opening, closing = _ISOLATE if language in RTL else ("", "")
    ready = {name: f"{opening}{clean(value)}{closing}" if value and name in _PERSONAL else clean(value) for name, value in values.items()}
    return " ".join(pattern.format_map(ready).split())
