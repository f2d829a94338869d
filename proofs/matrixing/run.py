"""Every cell, asked of a server that runs.

    standings, in worlds side by side ─▶ each sample, in one's own and in a foreign community ─▶ code ─▶ as declared?
                                      ╰▶ each sample with a field that nobody knows ──────────▶ refused?

A world is two communities and who keeps them; in it one cell comes after the other, so that none finds what another one changed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import trio
from msgspec import Raw, Struct

from gateway.tokens import KeySet, generate_pem, load_pem
from gateway.web_bounds import SYNC_PATH
from gateway.web_sync import CONTENT_TYPE as SYNC_TYPE
from persistence.bridge import Bridge, BridgeOptions
from proofs.matrixing.declarations import holes, load_samples, route_needs
from proofs.matrixing.ground import MEMORY_KIB, ROUNDS, Actor, Ground
from proofs.matrixing.scene import Keeping, settle
from proofs.matrixing.site import COMMANDS, OPERATIONS, ROUTES, Ask, Run, Sample, Site
from proofs.matrixing.speaking import Caller, Ended, Request, Talker, converse, intrude, talk
from proofs.matrixing.standing import NO_SERVICES, STANDINGS, Manner, Standing, Where, expected
from proofs.rehearsal.run import unreported
from protocol.codec import decode_frame, encode, join, split
from protocol.codes import Code
from protocol.frames import Done, DoneRun, Failed, Goodbye, Hello, Mutate, Refused, Sync, Welcome
from protocol.operations import Operation, Remove
from protocol.permissions import Needs
from protocol.values import Role
from supervisors.dev import Installation
from supervisors.tree import Report, running

WORLDS: Final = 3
SETTING_S: Final = 120.0
ENVIRONMENT: Final = {
    "EDUCONNECT_PASSWORDS_MEMORY_KIB": str(MEMORY_KIB),
    "EDUCONNECT_PASSWORDS_ROUNDS": str(ROUNDS),
    "EDUCONNECT_PROXY_NETWORKS": "127.0.0.1/32",
    "EDUCONNECT_PROXY_HEADER": "x-forwarded-for",
    "EDUCONNECT_LOG_LEVEL": "error",
    "EDUCONNECT_MODERATION_FLOODING": "false",
    **{f"EDUCONNECT_TRUST_{gate.upper()}": "0" for gate in ("links", "mentions", "communities", "mentoring")},
    "EDUCONNECT_SYNC_HTTP_USER_BURST": "10000",
    "EDUCONNECT_MFA_RP_ID": "localhost",
    "EDUCONNECT_MFA_ORIGINS": "http://localhost:8000",
}
"""Requests come from addresses of their own, and one account may ask for every operation: nothing is refused for its rate. Nor for want of
trust: reports are a command as any other, so everybody's trust moves while the matrix is played, and its gates have tests of their own."""
UNKNOWN_FIELD: Final = "is_administrator"
"""What mass assignment would set."""


class Wrong(Struct, frozen=True):
    """A cell that is not as declared."""

    cell: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.cell}: {self.got}, where {self.expected} is declared"


class Result(Struct):
    """What came out. `answers`: how often each code was the right one."""

    cells: int = 0
    subjects: int = 0
    standings: int = 0
    unknown_fields: int = 0
    answers: Counter[str] = Counter()
    wrong: list[Wrong] = []
    holes: list[str] = []


class Matrix:
    """The run. `standings` may be fewer than all, for a quick look."""

    def __init__(self, ground: Ground, port: int, standings: Sequence[Standing]) -> None:
        self._ground = ground
        self._port = port
        self._standings = standings
        self._addresses = itertools.count(1)
        self.result = Result(answers=Counter(), wrong=[], holes=holes(), standings=len(standings))

    async def play(self) -> None:
        """All of it."""
        async with trio.open_nursery() as nursery:
            for world in range(WORLDS):
                nursery.start_soon(self._play_world, world, self._standings[world::WORLDS])
        self.result.subjects = len(OPERATIONS) + len(COMMANDS) + len(ROUTES)

    async def _play_world(self, world: int, standings: Sequence[Standing]) -> None:
        source = f"127.8.{world + 1}.1"
        async with (
            settle(self._ground, self._port, source, foreign=False) as home,
            settle(self._ground, self._port, source, foreign=True) as abroad,
        ):
            caller = Caller(self._port)
            try:
                for standing in standings:
                    await self._play_standing(standing, home, abroad, source, caller)
                if not world:
                    await self._try_unknown_fields(home, abroad, source, caller)
            finally:
                await caller.close()

    async def _play_standing(self, standing: Standing, home: Keeping, abroad: Keeping, source: str, caller: Caller) -> None:
        actor = await self._ground.person(standing, home.place)
        async with self._enter(actor, home, source) as talker:
            sites = [
                Site(self._ground, actor, keeping.place, where, self._port, source, keeping.watcher, keeping.writer, talker)
                for keeping, where in ((home, Where.OWN), (abroad, Where.FOREIGN))
            ]
            for site in sites if standing.manner is not Manner.KEY else ():
                for kind, samples in OPERATIONS.items():
                    for sample in samples:
                        await self._cell(site, sample, kind.needs, self._operate)
                        if site.is_own:
                            await self._cell(site, sample, kind.needs, lambda site, sample: self._visit(site, sample, caller), " by HTTP")
                for command, samples in COMMANDS.items():
                    for sample in samples:
                        await self._cell(site, sample, command.needs, self._command)
            # Some of them end every session of the account, and so the socket. A key comes to them as itself.
            for site in sites if standing.manner is not Manner.KEY_SESSION else ():
                for endpoint, samples in ROUTES.items():
                    needs = route_needs().get(endpoint)
                    for sample in samples:
                        if needs is not None:
                            await self._cell(site, sample, needs, lambda site, sample: self._call(site, sample, caller))

    @contextlib.asynccontextmanager
    async def _enter(self, actor: Actor, home: Keeping, source: str) -> AsyncIterator[Talker | None]:
        """The actor's socket, if they can have one; who is to be removed is, while it is open."""
        manner = actor.standing.manner
        if manner is Manner.REVOKED:
            await self._ground.revoke(actor.login)
        if not actor.standing.has_session:
            yield None
            return
        async with talk(self._port, source, actor.login) as talker:
            if manner is Manner.REMOVED:
                code, _, detail = await home.watcher.do(Remove(home.place.space, actor.user))
                assert code is Code.OK, detail
            yield talker

    async def _cell(self, site: Site, sample: Sample, needs: Needs, attempt: Callable[[Site, Sample], Any], door: str = "") -> None:
        manner = site.actor.standing.manner
        if (site.where is Where.FOREIGN and not sample.foreign) or manner in sample.without:
            return
        right = expected(sample.needs or needs, site.actor.standing, site.where, own=sample.mine)
        if manner is Manner.KEY_SESSION and sample.subject in NO_SERVICES:
            right = frozenset({Code.FORBIDDEN, Code.NOT_FOUND})
        if sample.ended_too and manner is Manner.REVOKED:
            right = frozenset({Code.OK})
        detail = ""
        try:
            code, detail = await attempt(site, sample)
        except Ended as ended:
            code = Code(ended.code)
        except asyncpg.IntegrityConstraintViolationError:
            if manner not in (Manner.KEY, Manner.KEY_SESSION):
                raise
            return  # of a service there can be no such thing: a password, a device that is pushed to
        except (AssertionError, ConnectionError) as error:
            code, detail = Code.FAULT, f"it could not be tried: {error!r}"
        if code in sample.past:
            code = Code.OK
        self.result.cells += 1
        if code in right:
            self.result.answers[code.name] += 1
        else:
            cell = f"{sample.name}{door} by {site.actor.standing.name} in {site.where.value}"
            words = " or ".join(sorted(one.name for one in right))
            self.result.wrong.append(Wrong(cell, words, f"{code.name} {detail}".strip()))

    async def _operate(self, site: Site, sample: Sample) -> tuple[Code, str]:
        operation = await sample.make(site)
        assert isinstance(operation, Operation)
        if site.talker is None:
            frame = encode(Mutate(1, Raw(encode(operation))))
            return await intrude(self._port, site.source, site.actor.login, frame), ""
        code, value, detail = await site.talker.do(operation)  # type: ignore[arg-type]
        return (code, detail) if code is not Code.OK or sample.done(value) else (Code.NOT_FOUND, "")

    async def _visit(self, site: Site, sample: Sample, caller: Caller) -> tuple[Code, str]:
        """The same operation through the door for where sockets are blocked."""
        operation = await sample.make(site)
        assert isinstance(operation, Operation)
        login = await self._ground.fresh(site.actor)
        body = join([encode(Sync()), encode(Mutate(1, Raw(encode(operation))))])
        answer = await caller.call(Request("POST", SYNC_PATH, body, SYNC_TYPE), login.token, self._address())
        if answer.status != 200:
            return answer.code, answer.detail
        for raw in split(answer.body):
            frame = decode_frame(raw)
            if isinstance(frame, Refused):
                return frame.code, frame.detail
            if isinstance(frame, Done | DoneRun):
                value = frame.value if isinstance(frame, Done) else frame.values[0]
                return (Code.OK, "") if sample.done(value) else (Code.NOT_FOUND, "")
        return Code.FAULT, "the operation was not answered"

    async def _command(self, site: Site, sample: Sample) -> tuple[Code, str]:
        asked = await sample.make(site)
        if isinstance(asked, Run):
            return await asked.run(), ""
        assert isinstance(asked, Ask)
        if site.talker is None:
            return await intrude(self._port, site.source, site.actor.login, encode(asked.command)), ""
        return await site.talker.ask(asked.command, asked.judge), ""

    async def _call(self, site: Site, sample: Sample, caller: Caller) -> tuple[Code, str]:
        request = await sample.make(site)
        assert isinstance(request, Request)
        login = await self._ground.fresh(site.actor)
        answer = await caller.call(request, login.token, self._address())
        return answer.code, "" if answer.code is Code.OK else answer.detail

    def _address(self) -> str:
        """One that nobody has asked from."""
        number = next(self._addresses)
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

    # What nobody has asked for

    async def _try_unknown_fields(self, home: Keeping, abroad: Keeping, source: str, caller: Caller) -> None:
        """By somebody who may do everything."""
        standing = next(one for one in STANDINGS if one.manner is Manner.STALE)
        standing = msgspec.structs.replace(standing, manner=Manner.MEMBER, role=Role.OWNER)
        actor = await self._ground.person(standing, home.place)
        async with self._enter(actor, home, source) as talker:
            assert talker is not None
            site = Site(self._ground, actor, home.place, Where.OWN, self._port, source, home.watcher, home.writer, talker)
            for sample in itertools.chain.from_iterable(OPERATIONS.values()):
                code, _, detail = await talker.do_raw(_longer(encode(await sample.make(site))))  # type: ignore[arg-type]
                self._note_unknown(sample, code in (Code.INVALID, Code.BAD_FRAME), f"{code.name} {detail}")
            for sample in itertools.chain.from_iterable(COMMANDS.values()):
                asked = await sample.make(msgspec.structs.replace(site, talker=None))
                if sample.strict and isinstance(asked, Ask):
                    await self._send_longer(site, sample, encode(asked.command))
            for sample in itertools.chain.from_iterable(ROUTES.values()):
                request = await sample.make(site)
                assert isinstance(request, Request)
                if isinstance(request.body, dict):
                    body = {**request.body, UNKNOWN_FIELD: True}
                    login = await self._ground.fresh(actor)
                    answer = await caller.call(msgspec.structs.replace(request, body=body), login.token, self._address())
                    # Where a key that nobody has here comes before the body, nothing is learned.
                    if answer.code not in sample.past or answer.code is Code.INVALID:
                        self._note_unknown(sample, answer.code is Code.INVALID, f"{answer.status} {answer.detail}")

    async def _send_longer(self, site: Site, sample: Sample, frame: bytes) -> None:
        """On a socket of its own, as some of them end it."""
        login = await self._ground.fresh(site.actor)
        async with converse(self._port, site.source) as conversation:
            await conversation.send(encode(Hello(1, login.token, login.device)))
            assert isinstance(await conversation.frame(), Welcome)
            await conversation.send(bytes(_longer(frame)))
            answer = await conversation.frame()
            refused = isinstance(answer, Failed | Refused | Goodbye) and answer.code in (Code.INVALID, Code.BAD_FRAME)
            self._note_unknown(sample, refused, repr(answer))

    def _note_unknown(self, sample: Sample, refused: bool, answer: str) -> None:
        self.result.unknown_fields += 1
        if not refused:
            self.result.wrong.append(Wrong(f"{sample.name} with a field that nobody knows", "INVALID", answer))


def _longer(frame: bytes) -> Raw:
    """A frame or operation with one element more than there are fields: every field that may be left out is there, and another one."""
    return Raw(msgspec.msgpack.encode([*msgspec.msgpack.decode(frame, type=list[Raw]), 1]))


async def run_all(
    folder: Path,
    say: Callable[[str], None],
    standings: Sequence[Standing] = STANDINGS,
    report: Report | None = unreported,
) -> Result:
    """The matrix against real servers with their data in `folder`, which is to be empty."""
    load_samples()
    installation = Installation(folder, port=0, gateways=1, environment=ENVIRONMENT)
    async with running(installation.spec(), report=report):
        bridge = Bridge(BridgeOptions(installation.dsn))
        async with trio.open_nursery() as everything:
            await everything.start(bridge.serve)
            keys = KeySet(load_pem(installation.key_file), lifetime_s=3600)
            ground = Ground(bridge, keys, KeySet(generate_pem()))
            port = int(installation.urls[0].rpartition(":")[2])
            matrix = Matrix(ground, port, standings)
            say(f"{len(standings)} standings; {len(matrix.result.holes)} holes")
            await matrix.play()
            everything.cancel_scope.cancel()
    return matrix.result


def describe(result: Result) -> str:
    """What came out, for people."""
    lines = [
        f"commands and routes  {result.subjects}",
        f"standings            {result.standings}",
        f"cells                {result.cells}",
        f"unknown fields       {result.unknown_fields}",
        "answers              " + ", ".join(f"{count} {name}" for name, count in result.answers.most_common()),
        *(f"wrong                {one}" for one in result.wrong),
        *(f"hole                 {one}" for one in result.holes),
        f"{result.cells + result.unknown_fields} cells, {len(result.wrong)} not as declared, {len(result.holes)} holes",
    ]
    return "\n".join(lines)
