"""A lesson's text as the app reads it: nothing that was written is lost, nothing in it is a tag, and only addresses are links."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.web.tools import install

RUN = """
import { blocksOf, piecesOf } from "./src/pages/lesson/blocks";
let said = "";
process.stdin.on("data", (part) => (said += part));
process.stdin.on("end", () => {
  const read = (text) => blocksOf(text).map((block) => [block, (block.items ?? [block.text]).map(piecesOf)]);
  process.stdout.write(JSON.stringify(JSON.parse(said).map(read)));
});
"""
MARK = st.sampled_from(["", "", "- ", "* ", "1. ", "12) ", "> ", "```", "  ", "\t- "])
WORD = st.sampled_from(["bread", " ", "1/4", "<b>", "الماء", "-", ">", "`", "https://a.example/b.", "javascript:x", "http://", "."])
LINE = st.tuples(MARK, st.lists(WORD, max_size=6).map("".join)).map("".join)
TEXTS = st.lists(st.lists(LINE, max_size=8).map("\n".join), min_size=80, max_size=80)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's own reading, as a program that reads texts and says their blocks."""
    app = install() / "app"
    made = tmp_path_factory.mktemp("reading") / "run.mjs"
    options = [
        "--bundle",
        "--platform=node",
        "--format=esm",
        f"--outfile={made}",
        "--log-level=error",
        "--sourcefile=run.ts",
        "--loader=ts",
    ]
    subprocess.run([app.parent / "node_modules/.bin/esbuild", *options], cwd=app, input=RUN, text=True, check=True, timeout=60)
    return made


def blocks(reading: Path, texts: list[str]) -> list[Any]:
    """Of each text its blocks, each with its pieces."""
    done = subprocess.run(["node", reading], input=json.dumps(texts), capture_output=True, text=True, check=True, timeout=60)
    found: list[Any] = json.loads(done.stdout)
    return found


def letters(text: str) -> str:
    """What is no mark and no space."""
    text = re.sub(r"^[^\S\n]*```[^\S\n]*[A-Za-z0-9+-]*[^\S\n]*$", "", text, flags=re.MULTILINE)
    return re.sub(r"[\s\-*>`•]|(?<![^\s])\d{1,4}[.)](?=\s)", "", text)


@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))  # each example is eighty, and a process
@given(TEXTS)
def test_every_letter_of_a_text_is_read_and_only_whole_addresses_are_links(reading: Path, texts: list[str]) -> None:
    for text, made in zip(texts, blocks(reading, texts), strict=True):
        shown = "\n".join(item for block, _ in made for item in block.get("items", [block.get("text", "")]))
        assert letters(shown) == letters(text), text
        for block, pieces in made:
            for item, parts in zip(block.get("items", [block.get("text", "")]), pieces, strict=True):
                assert "".join(part["text"] for part in parts) == item
                assert all(part["text"].startswith(("https://a.example/b", "http://")) for part in parts if part["link"])


def test_a_text_becomes_paragraphs_lists_quotes_and_what_stands_as_it_is(reading: Path) -> None:
    text = "One\nand two.\n\n- a\n- b\n3. c\n4. d\n> said\n```\n<i> - x\n\n1. y\n```\nSee https://a.example/b. End"
    [made] = blocks(reading, [text])
    assert [block for block, _ in made] == [
        {"kind": "paragraph", "text": "One\nand two."},
        {"kind": "list", "ordered": False, "first": 1, "items": ["a", "b"]},
        {"kind": "list", "ordered": True, "first": 3, "items": ["c", "d"]},
        {"kind": "quote", "text": "said"},
        {"kind": "verbatim", "text": "<i> - x\n\n1. y"},
        {"kind": "paragraph", "text": "See https://a.example/b. End"},
    ]
    assert [piece["text"] for piece in made[-1][1][0] if piece["link"]] == ["https://a.example/b"]
