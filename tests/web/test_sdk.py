"""The TypeScript SDK: the vectors of every client, and people at a real gateway, each by node's own test runner."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import cast

import msgspec
import pytest
import trio

from actors.documents import Compact
from actors.jobs import Work
from persistence.documents.compaction import JOB, Compactor
from sandbox.process import run_in_sandbox
from supervisors.settings import Moderation
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.persistence.documents.writing import Tried
from tests.persistence.world import fetch
from tests.system.inside import Inside, gateways, settings_for
from tests.web.tools import bounded, install

__all__ = ["database", "postgres_server", "postgres_template", "valkey", "valkey_server"]

TESTS_S = 120
ONLY = os.environ.get("EDUCONNECT_SDK_TESTS", "").split()
"""Names of files; none: all of them."""

pytestmark = pytest.mark.xdist_group("web-sdk")
"""They build into one folder."""


@pytest.fixture(scope="session")
def sdk() -> Path:
    """The SDK's folder, its tools installed as the lock says."""
    return install() / "sdk"


def run_node(sdk: Path, *arguments: str, **environment: str) -> str:
    """What `node build.mjs` said; it has to succeed."""
    command = ["node", "build.mjs", *arguments]
    done = subprocess.run(command, cwd=sdk, capture_output=True, text=True, timeout=TESTS_S, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_sdk_reads_writes_and_decides_as_the_vectors_say(sdk: Path) -> None:
    said = run_node(sdk, "--test")
    assert "# fail 0" in said and "# pass 0" not in said


def test_the_types_of_the_sdk_are_sound(sdk: Path) -> None:
    done = subprocess.run(["node", "../node_modules/typescript/bin/tsc", "-p", "."], cwd=sdk, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_build_is_the_same_byte_for_byte_as_the_one_before(sdk: Path) -> None:
    def built() -> dict[str, bytes]:
        run_node(sdk, "--size")
        return {path.name: path.read_bytes() for path in (sdk / "build" / "esm").iterdir()}

    first = built()
    assert "index.js" in first and first == built()


async def make_documents_small(house: Inside) -> None:
    """What the jobs' process does elsewhere."""
    compactor = Compactor(house.node.bridge, house.node.exchange, run_in_sandbox)
    while True:
        for row in await fetch(house.node.bridge, "delete from jobs where kind = $1 returning payload", JOB):
            await compactor.run(cast(Work[Compact], Tried(msgspec.msgpack.decode(row["payload"], type=Compact))))
        await trio.sleep(0.1)


def test_the_core_of_the_sdk_is_within_its_bound(sdk: Path) -> None:
    sizes = bounded(run_node(sdk, "--size"))
    assert len(sizes) == 1
    assert [of for of, (size, most) in sizes.items() if not 0 < size <= most] == []


async def test_people_talk_and_write_through_a_real_gateway(sdk: Path, database: str, valkey: TestValkey, tmp_path: Path) -> None:
    async with (
        gateways(settings_for(database, valkey.url, tmp_path, moderation=Moderation(flooding=False)), tmp_path / "run") as [house],
        trio.open_nursery() as nursery,
    ):
        assert isinstance(house, Inside)
        nursery.start_soon(make_documents_small, house)
        said = await trio.to_thread.run_sync(lambda: run_node(sdk, "--test", *ONLY, EDUCONNECT_URL=house.url))
        nursery.cancel_scope.cancel()
        assert "# fail 0" in said and "# pass 0" not in said
