"""The page that explains the system shows what the code says: its trees, its states, its layers."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from protocol.server_session import diagram
from supervisors.generated import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = [(language, text.strip()) for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]


@pytest.mark.parametrize("arguments", [(), ("--role", "ml"), ("--role", "dev")], ids=["gateway", "ml", "dev"])
def test_the_page_draws_the_tree_that_the_program_draws(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "supervisors.cli", "tree", *arguments]
    drawn = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert drawn, "a tree that draws nothing would be found everywhere"
    assert ("text", drawn) in BLOCKS, f"docs/architecture.md is old; `educonnect {' '.join(command[3:])}` draws:\n{drawn}"


def test_the_page_shows_the_states_that_the_session_has() -> None:
    assert ("mermaid", diagram()) in BLOCKS, f"docs/architecture.md is old; protocol.server_session.diagram() is:\n{diagram()}"


def test_the_house_is_drawn_in_the_order_that_imports_are_held_to() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    house = next(text for _, text in BLOCKS if text.startswith(layers[0]))
    floors = [line for line in house.splitlines() if re.match(r"\w", line)]
    assert [re.findall(r"\w+", layer) for layer in layers] == [re.findall(r"\w+", re.split(r"\s{2,}", line)[0]) for line in floors]


def test_the_readme_gives_every_room_its_line() -> None:
    tracked = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    described = set(re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE))
    assert described <= tracked, described - tracked
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["packages"]
    assert {*packages, "tests", "docs", "examples", "deploy"} <= described


def test_every_command_that_the_readme_and_the_guides_name_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    pages = README + PAGE + (ROOT / "docs/deploying.md").read_text("utf-8")
    named = set(re.findall(r"`make ([a-z]+)|^ *make ([a-z]+)", pages, re.MULTILINE))
    assert {first or second for first, second in named} <= targets
    help = subprocess.run([sys.executable, "-m", "supervisors.cli", "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^ {4}([a-z]+) ", help, re.MULTILINE))
    assert {"dev", "serve", "tree"} <= commands
    assert set(re.findall(r"(?:`|\$ |^ +)educonnect ([a-z]+)", pages, re.MULTILINE)) <= commands
    for module in set(re.findall(r"python -m ((?:bench|proofs)[.\w]*)", pages)):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists() or (ROOT / module / "__main__.py").exists(), module
