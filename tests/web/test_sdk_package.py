"""The SDK as a stranger gets it: packed, installed without a network into a project of its own, compiled against its types, and run."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import trio

from supervisors.settings import Moderation
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.system.inside import Inside, gateways, settings_for
from tests.web.test_sdk import run_node, sdk

__all__ = ["database", "postgres_server", "postgres_template", "sdk", "valkey", "valkey_server"]

pytestmark = pytest.mark.xdist_group("web-sdk")

STEP_S = 120
OPTIONS = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noUncheckedIndexedAccess": True,
    "target": "es2022",
    "module": "nodenext",
    "lib": ["ES2023", "DOM"],
    "types": [],
    "outDir": "made",
}
"""A stranger checks the types of what it uses, too: `skipLibCheck` is not among these."""
MAIN = """
import { chat } from "./made/chat.js";
import { TextDisk } from "./made/disk.js";
import { openClient } from "@educonnect/sdk";
const kept = new Map();
const change = async (texts) => texts.forEach((text, name) => (text === null ? kept.delete(name) : kept.set(name, text)));
const disk = async () => new TextDisk({ all: async () => new Map(kept), change });
const url = process.argv[2];
const first = await openClient({ url, disk });
await first.signUp("packed_reader", "a long enough word");
await first.close();
const again = await openClient({ url, disk });
console.log(JSON.stringify({ said: await chat(url, "packed_writer", "a long enough word"), kept: again.me.value.name }));
await again.close();
"""


def step(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=STEP_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def tarball(sdk: Path, tmp_path: Path) -> Path:
    """What `npm pack` makes of a build."""
    run_node(sdk)
    said = json.loads(step(["npm", "pack", "--json", "--pack-destination", str(tmp_path)], sdk))
    return tmp_path / str(said[0]["filename"])


async def test_a_stranger_installs_the_sdk_compiles_its_examples_and_talks(
    sdk: Path, tarball: Path, database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "package.json").write_text(json.dumps({"name": "project", "private": True, "type": "module"}))
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": ["chat.ts", "disk.ts"]}))
    (project / "main.js").write_text(MAIN)
    await trio.to_thread.run_sync(step, ["npm", "install", "--offline", "--no-audit", "--no-fund", str(tarball)], project)
    for example in (project / "node_modules" / "@educonnect" / "sdk" / "examples").iterdir():
        shutil.copy(example, project)
    await trio.to_thread.run_sync(step, ["node", str(sdk.parent / "node_modules" / "typescript" / "bin" / "tsc"), "-p", "."], project)
    async with gateways(settings_for(database, valkey.url, tmp_path, moderation=Moderation(flooding=False)), tmp_path / "run") as [house]:
        assert isinstance(house, Inside)
        command = ["node", "--experimental-websocket", "--disable-warning=ExperimentalWarning", "main.js", house.url]
        said = json.loads(await trio.to_thread.run_sync(step, command, project))
    assert said == {"said": ["good morning", "who has read it?"], "kept": "packed_reader"}


def test_a_package_has_scripts_types_words_and_examples_and_needs_nothing(tarball: Path, sdk: Path) -> None:
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
        described = json.load(packed.extractfile("package/package.json"))  # type: ignore[arg-type]
    ways = [path.removeprefix("./") for way in described["exports"].values() for path in way.values()]
    assert ways and not set(ways) - names
    assert {"README.md", "LICENSE", "examples/chat.ts", "build/types/api.d.ts"} <= names
    assert not [name for name in names if name.startswith(("src/", "test/", "build/test/"))]
    assert "dependencies" not in described
