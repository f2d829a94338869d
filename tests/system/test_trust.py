"""Trust through the whole system: a word that is said on one gateway opens a door on another, by the job that works it out."""

from __future__ import annotations

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
from supervisors.tree import running
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.system.inside import gateways, settings_for
from tests.system.running import community, register

__all__ = ["database", "postgres_server", "postgres_template", "valkey", "valkey_server"]


async def write_link(session: Session, stream: int) -> Code:
    try:
        await session.say(stream, "look: https://school.example/lesson")
    except MutationRefused as refused:
        assert "links: " in str(refused)
        return Code(refused.code)
    return Code.OK


async def test_a_teachers_word_opens_a_door_for_an_open_socket_on_another_gateway(
    database: str,
    valkey: TestValkey,
    tmp_path: Path,
) -> None:
    settings = settings_for(database, valkey.url, tmp_path)
    jobs = Node(settings)
    async with gateways(settings, tmp_path, 2) as (here, there), running(jobs.spec("jobs"), report=jobs.troubles.in_tree):
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
