"""A question as the app shows it to who writes it: what is written comes back as it was, and can be graded; an exam's key is not in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from protocol.entities import Fields
from protocol.grading import Form, asked_of, key_problem
from tests.web.tools import install

RUN = """
import { sheetOf, shownOrder, shuffled, writingOf } from "./src/pages/lesson/author";
let said = "";
process.stdin.on("data", (part) => (said += part));
process.stdin.on("end", () => {
  const made = JSON.parse(said).map((sheet) => {
    const written = writingOf(sheet, shuffled);
    if (typeof written === "string") return written;
    const { question, key } = written;
    const again = sheetOf(question, key ?? undefined);
    const same = writingOf(again, () => shownOrder(question, key ?? undefined));
    return [[...question], key && [...key], again, [...same.question], same.key && [...same.key]];
  });
  process.stdout.write(JSON.stringify(made));
});
"""
LINE = st.sampled_from(["bread", "* bread", "*two", "1/4|quarter", "مية", "12±1", "", "  ", "x" * 201])
SHEET = st.fixed_dictionaries(
    {
        "form": st.sampled_from([int(form) for form in Form]),
        "prompt": st.sampled_from(["How much?", "A ___ and ___.", "One ___", " "]),
        "lines": st.lists(LINE, max_size=5, unique=True).map("\n".join),
        "explanation": st.sampled_from(["", "So it is."]),
        "exam": st.booleans(),
    }
)
SHEETS = st.lists(SHEET, min_size=120, max_size=120)


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's own writing of questions, as a program."""
    app = install() / "app"
    made = tmp_path_factory.mktemp("writing") / "run.mjs"
    options = ["--bundle", "--platform=node", "--format=esm", "--log-level=error", "--sourcefile=run.ts", "--loader=ts"]
    subprocess.run(
        [app.parent / "node_modules/.bin/esbuild", *options, f"--outfile={made}"], cwd=app, input=RUN, text=True, check=True, timeout=60
    )
    return made


def fields(told: list[Any] | None) -> Fields | None:
    return None if told is None else {number: tuple(value) if isinstance(value, list) else value for number, value in told}


@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))  # each example is a hundred, and a process
@given(SHEETS)
def test_what_is_written_can_be_graded_comes_back_as_it_was_and_an_exams_key_stands_apart(
    writing: Path, sheets: list[dict[str, Any]]
) -> None:
    done = subprocess.run(["node", writing], input=json.dumps(sheets), capture_output=True, text=True, check=True, timeout=60)
    for sheet, made in zip(sheets, json.loads(done.stdout), strict=True):
        if isinstance(made, str):
            continue
        question, key = fields(made[0]), fields(made[1])
        assert question is not None and key_problem(asked_of(question, key)) == ""
        assert (key is not None) == sheet["exam"]
        if sheet["exam"]:
            assert not (question[5] or question[6] or question[7])
        lines = [line.strip() for line in sheet["lines"].split("\n") if line.strip()]
        again = made[2]
        assert [line.replace("* ", "*") for line in again["lines"].split("\n")] == [line.replace("* ", "*") for line in lines], sheet
        assert (again["form"], again["prompt"], again["exam"]) == (sheet["form"], sheet["prompt"].strip(), sheet["exam"])
        assert fields(made[3]) == question and fields(made[4]) == key, "written again without a change, it is the same"


def test_what_cannot_be_graded_is_not_written(writing: Path) -> None:
    sheet = {"form": int(Form.CHOICE), "prompt": "Who?", "lines": "* a\nb", "explanation": "", "exam": False}
    wrong = [
        {**sheet, "prompt": " "},
        {**sheet, "lines": "a\nb"},
        {**sheet, "lines": "* a"},
        {**sheet, "lines": "\n".join(f"* {n}" for n in range(11))},
        {**sheet, "lines": f"* {'x' * 201}\nb"},
        {**sheet, "form": int(Form.CLOZE), "prompt": "___ and ___", "lines": "a"},
        {**sheet, "form": int(Form.SHORT), "lines": " "},
    ]
    done = subprocess.run(["node", writing], input=json.dumps([*wrong, sheet]), capture_output=True, text=True, check=True, timeout=60)
    *refused, made = json.loads(done.stdout)
    assert refused == ["prompt", "key", "key", "lines", "long", "gaps", "key"] and isinstance(made, list)
