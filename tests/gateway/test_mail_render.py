"""Mails say the same in every language, in text and in HTML, and what people wrote stays what people wrote."""

from __future__ import annotations

import re
import string
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.notices import NoticeKind
from actors.sentences import SENTENCES, read, say
from gateway.mail.render import LANGUAGES, Letter, Line, UnknownTemplate, clean, line_of, messages, pick_language, render

VALUES = {"name": "Ada", "hours": "24", "code": "c0de"}
LINES = [Line(kind, "Bob", "Maths", "words of theirs", "https://learn.example/?a=1&b=2") for kind in NoticeKind]
TEMPLATES = sorted(messages("en").templates)
names = st.text(max_size=60)


def places(pattern: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_word_with_the_same_places(language: str) -> None:
    english, words = messages("en"), messages(language)
    assert {key: places(pattern) for key, pattern in words.lines.items()} == {key: places(p) for key, p in english.lines.items()}
    assert set(words.lines) == {kind.name.lower() for kind in NoticeKind}
    assert {key: places(pattern) for key, pattern in words.sentences.items()} == {key: places(p) for key, p in SENTENCES.items()}
    assert set(words.templates) == set(english.templates)
    for name, template in words.templates.items():
        wanted = english.templates[name]
        assert [places(pattern) for pattern in (template.subject, *template.body)] == [places(p) for p in (wanted.subject, *wanted.body)]
        assert bool(template.button) == bool(wanted.button)
    if language == "en":
        assert words.sentences == SENTENCES
    else:
        assert not set(words.sentences.values()) & set(SENTENCES.values())
        texts = [words.greeting, words.closing, words.unsubscribe, words.stop_question, *words.lines.values()]
        assert not set(texts) & {english.greeting, english.closing, english.unsubscribe, english.stop_question, *english.lines.values()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_happened_to_an_account_is_told_in_its_owners_language(language: str) -> None:
    told = line_of(Line(NoticeKind.SECURITY, words=say("new_device", what="Firefox on a borrowed phone")), language)
    assert "Firefox on a borrowed phone" in told
    assert ("a log-in from a new device" in told) is (language == "en")


@given(st.sampled_from(sorted(SENTENCES)), st.text(max_size=80))
def test_a_sentence_is_read_back_as_what_was_said(key: str, value: str) -> None:
    values = dict.fromkeys(places(SENTENCES[key]), value)
    assert read(say(key, **values)) == (key, values)


def test_words_of_ones_own_are_said_as_they_are() -> None:
    words = say("password_changed")
    assert words in line_of(Line(NoticeKind.REMINDER, words=words), "fr")
    assert "pay the library" in line_of(Line(NoticeKind.SECURITY, words="pay the library"), "fr") and read("pay the library") is None


class Page(HTMLParser):
    """What a browser makes of a mail."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "html":
            self.attributes = dict(attrs)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_the_same_in_text_and_html_in_every_language(language: str, template: str) -> None:
    lines = LINES if template in ("notice", "digest", "security") else []
    written = render(Letter(template, language, VALUES, lines, "https://learn.example/#x=1", "https://learn.example/u?t=1"))
    page = Page(written.html)
    assert page.attributes == {"lang": language, "dir": "rtl" if language == "ar" else "ltr"}
    assert written.language == language and "\n" not in written.subject and written.subject
    said = " ".join(page.text.split())
    for line in written.text.splitlines():
        if line.strip() not in ("", "--") and "https://" not in line:
            assert line.removeprefix("* ").strip() in said
    assert {"https://learn.example/#x=1", "https://learn.example/u?t=1"} <= set(page.links)
    assert all(link in written.text for link in page.links)
    assert not re.search(r"\{\w*\}", written.text + written.html)


@given(names, names, names, st.sampled_from(LANGUAGES))
def test_what_people_wrote_forges_neither_mark_up_nor_a_line_nor_an_order_of_words(
    name: str, actor: str, place: str, language: str
) -> None:
    line = Line(NoticeKind.MENTION, actor, place)
    written = render(Letter("notice", language, {"name": name}, [line], "https://learn.example"))
    plain = render(Letter("notice", language, {"name": "x"}, [Line(NoticeKind.MENTION, "x", "x")], "https://learn.example"))
    assert Page(written.html).tags == Page(plain.html).tags
    assert written.text.count("\n") == plain.text.count("\n")
    assert not set(written.text + written.subject) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\0\r")
    assert written.text.count("\u2068") == written.text.count("\u2069")


@given(names)
def test_a_clean_value_is_one_line_and_clean_again(value: str) -> None:
    assert clean(clean(value)) == clean(value) and "\n" not in clean(value)


def test_a_place_to_fill_in_is_not_looked_for_in_what_people_wrote() -> None:
    assert line_of(Line(NoticeKind.MENTION, "{place.__class__}", "{words}"), "en") == "{place.__class__} mentioned you in {words}."


def test_an_unknown_template_and_a_missing_value_are_named_and_no_value_is() -> None:
    with pytest.raises(UnknownTemplate, match="no template 'nothing'"):
        render(Letter("nothing"))
    with pytest.raises(UnknownTemplate) as raised:
        render(Letter("verify", "en", {"code": "s3cret"}))
    assert "hours" in str(raised.value) and "s3cret" not in str(raised.value)


def test_a_link_that_is_none_is_left_out() -> None:
    written = render(Letter("verify", "en", VALUES, link="javascript:alert(1)"))
    assert "javascript" not in written.html + written.text


@pytest.mark.parametrize(
    ("tags", "language"),
    [("", "en"), ("pt-BR", "en"), ("pt-BR, fr;q=0.9", "fr"), ("AR_EG", "ar"), ("sw", "sw"), ("x" * 500, "en"), ("es-419,en", "es")],
)
def test_the_first_language_that_there_is_is_taken(tags: str, language: str) -> None:
    assert pick_language(tags) == language
