"""Personal data are found where they stand, and the numbers of a school are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_actors.moderation.personal import personal

HOLDS = [
    ("mail me: kim@example.org please", "kim@example.org", "e-mail"),
    ("call +49 151 23456789 now", "+49 151 23456789", "phone"),
    ("meine nummer: 0151 23456789", "0151 23456789", "phone"),
    ("(555) 123-4567", "(555) 123-4567", "phone"),
    ("simu yangu ni 0712345678", "0712345678", "phone"),
    ("📱 whatsapp 5551234567", "5551234567", "phone"),
    ("pay to DE89 3704 0044 0532 0130 00 today", "DE89 3704 0044 0532 0130 00", "account"),
    ("card 4539 1488 0343 6467", "4539 1488 0343 6467", "card"),
    ("Ich wohne in der Hauptstraße 12.", "Hauptstraße 12", "address"),
    ("I live at 12 Baker Street", "12 Baker Street", "address"),
    ("j'habite 12 rue de Lille", "12 rue de Lille", "address"),
    ("vivo en calle Mayor 5", "calle Mayor 5", "address"),
    ("add my snap: kim_07", "kim_07", "handle"),
    ("Telegram: @kimmy", "kimmy", "handle"),
    ("kim#1234", "kim#1234", "handle"),
]
HARMLESS = [
    "my number is 42",
    "on 2026-11-23 at 10:30 we had 3.14159265358979",
    "ISBN 978-3-16-148410-0",
    "the answer is 1234567890123",
    "page 1234567, exercise 7",
    "the years 1939-1945 and 2010/2011",
    "1 000 000 000 people live there",
    "insta is beautiful, snapchat is fun.",
    "DE89 3704 0044 0532 0130 01",
    "4539 1488 0343 6468",
    "x = 0123456789",
    "score: 100-200-3000",
    "@kim see you in room 12",
    "version 10.0.19045.3803",
    "we live near Baker Street",
]


@pytest.mark.parametrize(("text", "part", "what"), HOLDS)
def test_personal_data_are_found_where_they_stand(text: str, part: str, what: str) -> None:
    (found,) = personal(text)
    assert (text[found.begin : found.end], found.what) == (part, what)
    assert found.chance >= 0.6


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_and_words_of_a_school_are_no_personal_data(text: str) -> None:
    assert personal(text) == []


@given(st.text(alphabet="0123456789+-() @.#aZß:/€", max_size=60))
def test_spans_lie_in_the_text_in_order_and_apart(text: str) -> None:
    found = personal(text)
    edges = [edge for one in found for edge in (one.begin, one.end)]
    assert edges == sorted(edges) and all(0 <= edge <= len(text) for edge in edges)
    assert all(one.begin < one.end for one in found)
