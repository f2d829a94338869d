"""The web app puts two texts together as the Python client does, and shows truly what was taken out and put in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from client.three_way import Clash, merge_text
from tests.web.tools import install

RUN = """
import { mergeText } from "./src/pages/conflicts/three_way";
import { marksOf } from "./src/pages/record/runs";
let said = "";
process.stdin.on("data", (part) => (said += part));
process.stdin.on("end", () => {
  const cases = JSON.parse(said);
  process.stdout.write(JSON.stringify(cases.map(([common, mine, theirs]) => [mergeText(common, mine, theirs), marksOf(mine, theirs)])));
});
"""
# Few words, so that they repeat; blank lines, points, and words of other scripts.
WORD = st.sampled_from(["rain", "falls", "falls", "the", "الماء", "maji", "12", ".", ",", " ", " ", " ", "\n", "\n\n"])
TEXT = st.lists(WORD, max_size=24).map("".join)
SIDES = st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=60, max_size=60)


@pytest.fixture(scope="module")
def merging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's own merging, as a program that reads cases and says what becomes of them."""
    app = install() / "app"
    made = tmp_path_factory.mktemp("merging") / "run.mjs"
    command = [
        app.parent / "node_modules/.bin/esbuild",
        "--bundle",
        "--platform=node",
        "--format=esm",
        f"--outfile={made}",
        "--log-level=error",
    ]
    subprocess.run([*command, "--sourcefile=run.ts", "--loader=ts"], cwd=app, input=RUN, text=True, check=True, timeout=60)
    return made


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))  # each example is sixty, and a process
@given(SIDES)
def test_the_app_merges_as_the_client_does_and_marks_what_changed(merging: Path, sides: list[tuple[str, str, str]]) -> None:
    done = subprocess.run(["node", str(merging)], input=json.dumps(sides), capture_output=True, text=True, check=True, timeout=60)
    for (common, mine, theirs), (pieces, marks) in zip(sides, json.loads(done.stdout), strict=True):
        expected = [
            {"common": piece.common, "mine": piece.mine, "theirs": piece.theirs} if isinstance(piece, Clash) else piece
            for piece in merge_text(common, mine, theirs)
        ]
        assert pieces == expected, (common, mine, theirs)
        assert "".join(mark["text"] for mark in marks if mark["kind"] != "in") == mine
        assert "".join(mark["text"] for mark in marks if mark["kind"] != "out") == theirs
