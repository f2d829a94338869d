"""Trust through the whole system: a word that is said on one gateway opens a door on another, by the job that works it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import trio

from client import MutationRefused, Session, connect
from persistence.trust_book import name_seed
from protocol.codes import Code
from protocol.operations import Endorse
from protocol.values import Role
from supervisors.node import Node
from supervisors.settings import Settings
from supervisors.told import Told
from supervisors.tree import Tree
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.system.inside import gateways, settings_for
from tests.system.running import community, register

__all__ = ["database", "postgres_server", "postgres_template", "valkey", "valkey_server"]


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Node]:
    """A node in the role `jobs`."""
    node = Node(settings)
    tree = node.tree = Tree(node.spec("jobs"), report=node.troubles.in_tree)
    up, over = trio.Event(), trio.Event()

    async def run() -> None:
        await tree.run(task_status=Told(lambda _: up.set()))
        over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(30):
            await up.wait()
        yield node
        tree.stop()
        with trio.fail_after(20):
            await over.wait()
        nursery.cancel_scope.cancel()


async def write_link(session: Session, stream: int) -> Code:
    try:
        await session.say(stream, "look: https://school.example/lesson")
    except MutationRefused as refused:
        assert "links: " in str(refused)
        return refused.code
    return Code.OK


async def test_a_teachers_word_opens_a_door_for_an_open_socket_on_another_gateway(
    database: str,
    valkey: TestValkey,
    tmp_path: Path,
) -> None:
    settings = settings_for(database, valkey.url, tmp_path)
    async with gateways(settings, tmp_path, 2) as (here, there), worker(settings) as jobs:
        credentials = await register(there.url)
        async with connect(there.url, credentials) as learner, community(here.url, (learner, Role.LEARNER)) as (teacher, space, general):
            assert await write_link(learner, general) is Code.TRUST
            await learner.say(general, "look at the lesson on fractions")
            await jobs.bridge.run(partial(name_seed, by=0, user=teacher.user), deadline_s=10)
            await teacher.do(Endorse(space, learner.user))
            with trio.fail_after(40):
                while await write_link(learner, general) is not Code.OK:
                    await learner.say(general, "not yet")
            headers = {"authorization": f"Bearer {credentials.access_token}"}
            async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
                told = (await http.get(f"{there.url}/api/v1/trust", headers=headers)).json()
            assert told["trust"] >= 0.25 and "One person vouches for you" in told["parts"][3]["words"]
