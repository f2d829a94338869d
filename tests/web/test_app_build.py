"""The app's build: what is in the repository is what its sources give, in every language, on any machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.options import SITE
from tests.web.tools import bounded, install

BUILD_S = 60


@pytest.fixture(scope="module")
def web() -> Path:
    return install()


def run_node(web: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], cwd=web, capture_output=True, text=True, timeout=BUILD_S, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def rebuilt(web: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A build in a folder of its own, and what it said."""
    folder = tmp_path_factory.mktemp("site") / "site"
    done = run_node(web, "app/build.mjs", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_what_a_page_loads_is_within_its_bounds(rebuilt: tuple[Path, str]) -> None:
    sizes = bounded(rebuilt[1])
    assert len(sizes) == 4
    assert [of for of, (size, most) in sizes.items() if not 0 < size <= most] == []


def test_a_rebuild_gives_the_files_that_are_in_the_repository_byte_for_byte(rebuilt: tuple[Path, str]) -> None:
    built, kept = contents(rebuilt[0]), contents(SITE)
    assert built.keys() == kept.keys(), "run: cd web && node app/build.mjs"
    assert [name for name in built if built[name] != kept[name]] == [], "run: cd web && node app/build.mjs"


IMPORTED = re.compile(r'(?:\bfrom|\bimport)"\./([^"]+)"')


def test_the_door_is_a_page_a_style_and_a_script_and_a_chat_one_script_and_one_style_more(rebuilt: tuple[Path, str]) -> None:
    """Each file is a question and an answer, and often a connection. The worker's copy of the page names what a chat needs, too."""
    folder = rebuilt[0]
    named = re.findall(r'(?:src|href)="/([^"]+)"', (folder / "index.html").read_text())
    assert [Path(name).suffix for name in named] == [".css", ".js"]
    [door] = [Path(name).name for name in named if name.endswith(".js")]
    assert IMPORTED.findall((folder / "app" / door).read_text()) == []
    ahead = re.findall(r'<link rel="\w+"(?: as="style")? href="/app/([^"]+)">', (folder / "worker.js").read_text())
    assert [Path(name).suffix for name in ahead] == [".js", ".css"]
    assert set(IMPORTED.findall((folder / "app" / ahead[0]).read_text())) == {door}


def test_the_types_of_the_app_are_sound(web: Path) -> None:
    done = run_node(web, "node_modules/typescript/bin/tsc", "--noEmit", "-p", "app")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("language", "key", "words", "complaint"),
    [
        ("sw", "door.logIn", None, "sw.json lacks door.logIn"),
        ("ar", "space.people.few", None, "ar.json lacks space.people.few"),
        ("fr", "home.hello", "Bonjour", "fr.json: home.hello fills nothing, not {name}"),
        ("es", "nobody.asks", "por esto", "es.json has nobody.asks, which nobody uses"),
    ],
)
def test_a_language_that_lacks_words_cannot_be_built(
    web: Path, tmp_path: Path, language: str, key: str, words: str | None, complaint: str
) -> None:
    folder = Path(shutil.copytree(web / "app" / "messages", tmp_path / "messages"))
    file = folder / f"{language}.json"
    changed = {**json.loads(file.read_text()), key: words}
    file.write_text(json.dumps({one: text for one, text in changed.items() if text is not None}))
    check = f'import {{ checkWords }} from "{web}/app/words.mjs"; checkWords("{folder}");'
    done = run_node(web, "--input-type=module", "-e", check)
    assert done.returncode != 0 and complaint in done.stderr
