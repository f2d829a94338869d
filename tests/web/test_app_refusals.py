"""What the app says of a refusal or a decision in the person's language, it knows by the server's own sentence: so the server has to say it
so."""

from __future__ import annotations

import json
import re
from typing import Final

import pytest

from persistence.moderation.rulings import _WHAT as WHAT
from persistence.moderation.rulings import WHY
from persistence.operations.reports import _WHY as REPORTED
from tests.web.tools import WEB

SOURCES: Final = WEB / "app" / "src"
ROOMS: Final = ("actors", "persistence", "gateway")
NO_REASON: Final = "it is against the rules here"
NUMBER: Final = r"\{\w+(?:\.\w+)*\}"
"""Where a sentence begins with {n}, the server puts a bound of its own."""


def beginnings() -> list[str]:
    found = []
    for name, table in (("refusals.ts", "BEGINS"), ("trouble.ts", "AT_DOOR")):
        listed = re.search(rf"const {table}.*?\n\];", (SOURCES / name).read_text(), re.DOTALL)
        assert listed
        found += re.findall(r'^  \["([^"]+)", "', listed[0], re.MULTILINE)
    return found


@pytest.fixture(scope="module")
def said() -> str:
    return "\n".join(path.read_text() for room in ROOMS for path in sorted((WEB.parent / room).rglob("*.py")))


@pytest.mark.parametrize("begins", beginnings())
def test_the_server_says_each_sentence_that_the_app_knows(said: str, begins: str) -> None:
    pattern = NUMBER.join(re.escape(part) for part in begins.split("{n}"))
    assert re.search(rf'"{pattern}', said), f"nobody says {begins!r} any more: the app would show English, or only a code's words"


def test_every_sentence_of_moderation_is_said_in_the_apps_languages(said: str) -> None:
    english: dict[str, str] = json.loads((WEB / "app" / "messages" / "notices" / "en.json").read_text())
    whole = re.sub(r'"\s*\+\s*\(\s*\(?\s*"', "", said)  # of sentences that are put together the first part
    for text in (text for key, text in english.items() if key.startswith("moderation.")):
        pattern = r"\{[^\n]+?\}".join(re.escape(part) for part in re.split(r"\{\w+\}", text.removesuffix("{what}")))
        assert re.search(rf'"{pattern}', whole), f"nobody says {text!r} any more"
    parts = {text for key, text in english.items() if key.startswith(("part.", "why."))}
    reasons = {*WHY.values(), *REPORTED.values(), NO_REASON}
    assert reasons | {*WHAT.values()} <= parts
    assert all(part in said for part in parts)
