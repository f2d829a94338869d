"""The documents agree with the house, and the house with its own rules."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from proofs.fuzzing.sieges import SIEGES
from supervisors.generated import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ROOMS = ("actors", "client", "gateway", "ml_actors", "persistence", "protocol", "sandbox", "supervisors")
SOURCES = sorted(path for room in (*ROOMS, "bench", "proofs", "examples") for path in (ROOT / room).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DISTRIBUTIONS = packages_distributions()
VAGUE = re.compile(r"(^|_)(utils?|helpers?|commons?|managers?|handlers?|misc)(_|$)", re.IGNORECASE)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    index = set(re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text("utf-8")))
    assert index == {path.name for path in folder.glob("*.md")} - {"README.md"}


def test_every_dependency_has_its_line() -> None:
    page = (ROOT / "docs/decisions/dependencies.md").read_text("utf-8")
    described = set(re.findall(r"[\w-]+", " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| "))))
    extras = [wanted for extra in PROJECT["project"]["optional-dependencies"].values() for wanted in extra]
    page_words = set(re.findall(r"[\w-]+", page))
    assert {re.split(r"[\[=<>]", wanted)[0] for wanted in extras} <= page_words
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    names = {re.match(r"[\w-]+", wanted_one)[0] for wanted_one in wanted}  # type: ignore[index]
    assert names <= described, names - described


def test_the_lock_pins_every_dependency_with_hashes() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for name, groups in (("runtime", []), ("dev", PROJECT["dependency-groups"]["dev"]), *extras.items()):
        lock = (ROOT / f"requirements/{name}.lock").read_text("utf-8")
        pinned = set(re.findall(r"^([\w-]+)==", lock, re.MULTILINE))
        for wanted in [*PROJECT["project"]["dependencies"], *groups]:
            assert re.split(r"[\[=<>]", wanted)[0] in pinned, wanted
        assert lock.count("==") <= lock.count("--hash=sha256:")
        assert "://" not in lock, "a lock names no place to download from"


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "__init__.py"], ids=named)
def test_a_module_says_what_it_is_for_and_has_a_name_that_does(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith(('"""', 'r"""', "#!")), "a module opens with its purpose"
    assert not VAGUE.search(path.stem)
    for name in re.findall(r"^class _?(\w+)", text, re.MULTILINE):
        words = "_".join(re.findall(r"[A-Z][a-z0-9]*", name))
        assert not VAGUE.search(words) and not words.endswith("Base"), name


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_nothing_is_left_for_later_and_no_exception_is_swallowed_whole(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
    assert not re.search(r"^\s*except\s*:", text, re.MULTILINE)


def test_every_test_that_a_document_names_exists() -> None:
    defined = {name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)\(", path.read_text("utf-8"))}
    for document in (ROOT / "docs").rglob("*.md"):
        named_here = set(re.findall(r"`(test_\w+)`", document.read_text("utf-8")))
        assert named_here - defined == set(), document


def test_every_siege_is_on_the_page_on_security_and_nothing_else_is() -> None:
    page = (ROOT / "docs/security.md").read_text("utf-8")
    table = page.partition("## Sieges")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(SIEGES)


def test_every_attack_on_the_page_on_security_says_what_happens_and_which_test_holds_it() -> None:
    page = (ROOT / "docs/security.md").read_text("utf-8").partition("## Sieges")[0]
    rows = [
        line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| attack"))
    ]
    assert len(rows) > 40
    for row in rows:
        assert len(row) == 3 and row[0] and row[1] and "`test_" in row[2], row


def test_the_product_imports_only_what_it_declares() -> None:
    extras = [wanted for extra in PROJECT["project"]["optional-dependencies"].values() for wanted in extra]
    declared = {re.split(r"[\[=<>]", wanted)[0].lower() for wanted in (*PROJECT["project"]["dependencies"], *extras)}
    undeclared = set()
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] in ROOMS:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                for module in _imported(node):
                    distributions = DISTRIBUTIONS.get(module, [])
                    if distributions and not {name.lower().replace("_", "-") for name in distributions} & declared and module not in ROOMS:
                        undeclared.add(f"{named(path)}: {module} ({', '.join(distributions)})")
    assert not undeclared


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.partition(".")[0]]
    return []
