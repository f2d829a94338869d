"""Blocks against a model of a few lines, whatever a few people do to each other: block, unblock, open, leave, speak. On a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import count
from typing import Any, ClassVar, TypeVar

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from actors.storage import Entry
from persistence.blocks import blocked, blocked_among
from persistence.operations.hot import Columns
from persistence.operations.slow import Outcome, carry_out
from protocol.codes import Code
from protocol.operations import AnyOperation, Block, Leave, OpenConversation, Post, Say, Unblock

T = TypeVar("T")
PEOPLE = 3
"""Few, so that what two of them do to each other meets what they did before."""
who = st.integers(0, PEOPLE - 1)


class Blocks(RuleBasedStateMachine):
    """`blocks`: who blocks whom. `conversations`: by stream, who is in it, and whether somebody has left. People are 0, 1, 2 …"""

    database: ClassVar[str]
    names: ClassVar[count[int]] = count()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.connection: asyncpg.Connection = self.run(asyncpg.connect(self.database))
        self.users: list[int] = []
        self.blocks: set[tuple[int, int]] = set()
        self.conversations: dict[int, tuple[set[int], bool]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def ask(self, person: int, operation: AnyOperation) -> Outcome:
        async def work() -> Outcome:
            async with self.connection.transaction():
                return await carry_out(self.connection, Entry(self.users[person], 0, 0, 0, 0, operation))

        return self.run(work())

    def say(self, person: int, operation: Say | Post) -> Code:
        async def work() -> Code:
            columns = Columns([Entry(self.users[person], 0, 0, 0, 0, operation)])
            return columns.read(await columns.append(self.connection))[0][0].code

        return self.run(work())

    def parted(self, one: int, other: int) -> bool:
        return (one, other) in self.blocks or (other, one) in self.blocks

    @initialize(alone=st.booleans())
    def arrive(self, alone: bool) -> None:
        for _ in range(PEOPLE):
            name = f"person{next(self.names)}"
            self.users.append(
                self.run(self.connection.fetchval("select user_id from create_account($1::text::citext, $1::text, 'x')", name))
            )
        self.talk(0, {1} if alone else {1, 2})

    @rule(one=who, other=who)
    def block(self, one: int, other: int) -> None:
        expected = Code.INVALID if one == other else Code.OK
        assert self.ask(one, Block(self.users[other])).code is expected
        if one != other:
            self.blocks.add((one, other))

    @rule(one=who, other=who)
    def unblock(self, one: int, other: int) -> None:
        assert self.ask(one, Unblock(self.users[other])).code is Code.OK
        self.blocks.discard((one, other))

    @rule(one=who, other=who, by=st.booleans())
    def feud(self, one: int, other: int, by: bool) -> None:
        """Both block, and one of them thinks better of it."""
        self.block(one, other)
        self.block(other, one)
        self.unblock(*(one, other) if by else (other, one))

    @rule(one=who, others=st.sets(who, min_size=1, max_size=3))
    def open(self, one: int, others: set[int]) -> None:
        self.talk(one, others)

    def talk(self, one: int, others: set[int]) -> None:
        people = others | {one}
        outcome = self.ask(one, OpenConversation(tuple(self.users[other] for other in sorted(others))))
        if len(people) < 2:
            assert outcome.code is Code.INVALID
        elif any(self.parted(a, b) for a in people for b in people):
            assert outcome.code is Code.BLOCKED
        else:
            assert outcome.code is Code.OK
            known = [stream for stream, (members, whole) in self.conversations.items() if whole and members == people]
            assert known in ([], [outcome.value])
            self.conversations[outcome.value] = (people, True)

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), one=who)
    def leave(self, data: st.DataObject, one: int) -> None:
        stream = data.draw(st.sampled_from(sorted(self.conversations)))
        space = self.run(self.connection.fetchval("select space_id from streams where id = $1", stream))
        members, _ = self.conversations[stream]
        assert self.ask(one, Leave(space)).code is (Code.OK if one in members else Code.NOT_FOUND)
        if one in members:
            self.conversations[stream] = (members - {one}, False)

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), one=who, mentioned=who)
    def speak(self, data: st.DataObject, one: int, mentioned: int) -> None:
        stream = data.draw(st.sampled_from(sorted(self.conversations)))
        members, _ = self.conversations[stream]
        expected = Code.NOT_FOUND if one not in members else Code.BLOCKED if self.is_closed(stream) else Code.OK
        assert self.say(one, Say(stream, "x")) is expected
        assert self.say(one, Post(stream, "x", 0, (self.users[mentioned],))) is expected

    def is_closed(self, stream: int) -> bool:
        members, _ = self.conversations[stream]
        return len(members) == 2 and self.parted(*members)

    @invariant()
    def a_conversation_has_no_writers_exactly_while_the_two_in_it_are_parted(self) -> None:
        rows = self.run(self.connection.fetch("select id, write_roles from streams where id = any($1)", list(self.conversations)))
        assert {row["id"]: row["write_roles"] == 0 for row in rows} == {stream: self.is_closed(stream) for stream in self.conversations}

    @invariant()
    def a_block_counts_in_both_directions(self) -> None:
        for one, user in enumerate(self.users):
            parted = {self.users[other] for other in range(PEOPLE) if self.parted(one, other)}
            assert self.run(blocked_among(self.connection, user, self.users)) == parted
            assert self.run(blocked(self.connection, user, self.users[0])) is self.parted(one, 0)

    def teardown(self) -> None:
        self.run(self.connection.close())
        self.loop.close()


def test_whatever_people_do_a_conversation_of_two_is_closed_exactly_while_one_blocks_the_other(database: str) -> None:
    class Here(Blocks):
        pass

    Here.database = database
    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)),
    )
