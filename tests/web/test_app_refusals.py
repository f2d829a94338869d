"""What the app says of a refusal in the person's language, it knows by how the server's sentence begins: so the server has to say it so."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.web.tools import WEB

SOURCES: Final = WEB / "app" / "src"
ROOMS: Final = ("actors", "persistence", "gateway")
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
