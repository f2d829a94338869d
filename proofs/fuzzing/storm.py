"""Frames against a running server: strangers and members, each with damaged traffic, from processes of their own.

    socket ─▶ Hello? ─▶ burst of damaged messages ─▶ Ping ─▶ its Pong: alive and well
                                                          ─▶ a close code of the table: refused and told why
                                                          ─▶ anything else: a finding

Manners, drawn for each socket: `stranger` (no Hello), `hello` (a damaged one), `member` (a good one, then damage), `guest` (damage of the
kind that must be answered and must not end the socket, so that what lies deep is reached), `wire` (broken framing), `poison` (each
garbage mutation is followed by a good one, which must be carried out).
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from time import time
from typing import Final

import msgspec
import trio

from gateway import rfc6455
from gateway.tokens import KeySet
from proofs.fuzzing.grammar import Grammar, Terrain, encode_tree
from proofs.fuzzing.line import Conversation, Line, Silent
from proofs.fuzzing.mutation import any_message, mutate_bytes, mutate_tree, mutate_wire
from proofs.fuzzing.verdict import Impossible, Report, ends_well, name_of
from protocol.codec import MESSAGE_BYTES_MAX, BadFrame, decode_command, encode, split
from protocol.codes import Code
from protocol.frames import Bye, Done, DoneRun, Failed, Hello, Mutate, Ping, Pong, Refused, Resume, Sync, Welcome
from protocol.operations import Rename

BURSTS: Final = 6
BURST_MESSAGES_MAX: Final = 8
POISONED: Final = 8
PING_ID: Final = 4_000_000_000
RETRY_S: Final = 1.0
TOKEN_S: Final = 300.0
CLIENT_LIMITS: Final = rfc6455.Limits()
"""How the server reads; so it is known here what of a broken wire it must have refused."""
MANNERS: Final = ("guest",) * 5 + ("member",) * 6 + ("wire",) * 5 + ("poison",) * 2 + ("stranger",) * 2 + ("hello",) * 2


class Identity(msgspec.Struct, frozen=True):
    """An account's device and session, for which real tokens are made with the server's own key."""

    user: int
    device: int
    session: int


class Plan(msgspec.Struct, frozen=True):
    """What one worker process is to do."""

    seed: int
    worker: int
    port: int
    inputs: int
    key_file: str
    identities: tuple[Identity, ...]
    terrain: Terrain


def storm(plan: Plan) -> Report:
    """Attacks until `plan.inputs` messages are sent. Blocks; runs in a process of its own."""
    return trio.run(_storm, plan, KeySet(Path(plan.key_file).read_text()))


async def _storm(plan: Plan, keys: KeySet) -> Report:
    report = Report()
    async with trio.open_nursery() as nursery:
        for number, identity in enumerate(plan.identities):
            nursery.start_soon(_Attacker(plan, keys, identity, number, report).run)
    return report


class _Attacker:
    """One hostile account."""

    def __init__(self, plan: Plan, keys: KeySet, identity: Identity, number: int, report: Report) -> None:
        self._plan = plan
        self._keys = keys
        self._identity = identity
        self._number = number
        self._report = report
        self._source = f"127.0.{10 + plan.worker}.{1 + number % 200}"
        self._good_token, self._token_until = "", 0.0
        self._trail: list[tuple[str, bytes]] = []
        """What was sent since the server last proved to be well."""

    async def run(self) -> None:
        sockets = 0
        while self._report.inputs < self._plan.inputs:
            sockets += 1
            chance = Random(f"{self._plan.seed}:{self._plan.worker}:{self._number}:{sockets}")
            manner = chance.choice(MANNERS)
            self._trail.clear()
            try:
                async with Line.open(self._plan.port, self._source) as line:
                    await self._visit(Conversation(line), chance, manner)
            except (Silent, Impossible) as wrong:
                self._find(manner, str(wrong))
            except OSError as error:
                self._find(manner, f"no connection: {error!r}")
                await trio.sleep(RETRY_S)
            except trio.TooSlowError:
                self._find(manner, "no connection in time")

    async def _visit(self, talk: Conversation, chance: Random, manner: str) -> None:
        if not await talk.shake_hands():
            self._report.saw(f"handshake refused: {talk.answered}")
            if not talk.answered.startswith(("HTTP/1.1 503 ", "HTTP/1.1 429 ")):
                self._find(manner, f"a good handshake was answered by {talk.answered!r}")
            await trio.sleep(RETRY_S)
            return
        identity = self._identity
        token = self._token()
        grammar = Grammar(chance, msgspec.structs.replace(self._plan.terrain, token=token, device=identity.device))
        if manner in ("guest", "member", "poison") or (manner == "wire" and chance.random() < 0.5):
            welcome = await self._enter(talk, token)
            if welcome is None:
                return
            grammar.number = welcome.last_number + 1
        match manner:
            case "hello":
                tree, kind = mutate_tree(chance, grammar.hello())
                payload = encode_tree(tree)
                if chance.random() < 0.3:
                    payload, kind = mutate_bytes(chance, payload, encode_tree(grammar.command()))
                await self._send(talk, payload, "hello " + kind, chance)
                await self._bursts(talk, chance, grammar, 1)
            case "wire":
                await self._break_wire(talk, chance, grammar)
            case "poison":
                await self._poison(talk, chance, grammar)
            case "guest":
                if not await self._bursts(talk, chance, grammar, BURSTS, polite=True) and talk.closed in (Code.BAD_FRAME, Code.ILLEGAL):
                    self._find(manner, f"what should have been answered ended the socket with {name_of(talk.closed)}")
            case _:
                await self._bursts(talk, chance, grammar, BURSTS)

    def _token(self) -> str:
        """A real token, the same for a while: that is how clients use them."""
        if time() >= self._token_until:
            self._token_until = time() + TOKEN_S
            identity = self._identity
            self._good_token, _ = self._keys.issue(identity.user, identity.device, identity.session, time())
        return self._good_token

    async def _enter(self, talk: Conversation, token: str) -> Welcome | None:
        """A good Hello, and a good mutation: whatever earlier sockets of this device did, its queue is free."""
        await talk.send(encode(Hello(1, token, self._identity.device)))
        first = await talk.frame()
        if not isinstance(first, Welcome):
            code = talk.closed or getattr(first, "code", 0)
            self._report.saw(f"not welcome: {name_of(code)}")
            if not ends_well(code):
                self._find("hello", f"a good Hello was answered by {first!r} and code {talk.closed}")
            return None
        number = first.last_number + 1
        await talk.send(encode(Mutate(number, msgspec.Raw(encode(Rename(f"m{number}"))))))
        if not await self._carried_out(talk, number, ""):
            return None
        return msgspec.structs.replace(first, last_number=number)

    async def _carried_out(self, talk: Conversation, number: int, kind: str) -> bool:
        """Whether mutation `number` was done. False, and noted, if the socket ended instead."""
        answer = await _outcome(talk, number)
        if answer is None:
            self._end(talk, kind)
            return False
        if isinstance(answer, Refused) and answer.code < Code.BUSY:
            self._find(kind or "queue", f"a good mutation was refused: {answer!r}")
            return False
        self._report.saw("good mutations done" if isinstance(answer, Done | DoneRun) else f"good mutation: {answer.code.name}")
        return isinstance(answer, Done | DoneRun)

    async def _bursts(self, talk: Conversation, chance: Random, grammar: Grammar, bursts: int, *, polite: bool = False) -> bool:
        """Whether the socket lived through it. `polite`: only of what is answered rather than ends the socket."""
        for burst in range(bursts):
            for _ in range(chance.randint(1, BURST_MESSAGES_MAX)):
                payload, kind = any_message(chance, grammar)
                while polite and not is_answered(payload):
                    payload, kind = any_message(chance, grammar)
                await self._send(talk, payload, kind, chance)
            if not await self._is_well(talk, PING_ID + burst):
                return False
        self._report.saw("alive at the end")
        return True

    async def _is_well(self, talk: Conversation, id: int) -> bool:
        await talk.send(encode(Ping(id)))
        while (frame := await talk.frame()) is not None:
            if isinstance(frame, Pong | Failed) and frame.id == id:
                self._trail.clear()
                return True
        self._end(talk, "")
        return False

    async def _poison(self, talk: Conversation, chance: Random, grammar: Grammar) -> None:
        number = grammar.number
        for _ in range(POISONED):
            operation, kind = mutate_tree(chance, grammar.operation())
            try:
                garbage = encode_tree([6, number, operation])
            except OverflowError:
                continue
            await self._send(talk, garbage, "poison " + kind, chance)
            await talk.send(encode(Mutate(number + 1, msgspec.Raw(encode(Rename(f"p{number}"))))))
            answer = await _outcome(talk, number)
            if answer is None:
                self._end(talk, kind)
                return
            if isinstance(answer, Refused):
                self._report.saw(f"poison refused: {answer.code.name}")
            if not await self._carried_out(talk, number + 1, kind):
                return
            number += 2
            self._trail.clear()

    async def _break_wire(self, talk: Conversation, chance: Random, grammar: Grammar) -> None:
        """Several broken frames in one go, then the end of the line; what framing alone condemns must have been condemned."""
        wire = b""
        for _ in range(chance.randint(1, 3)):
            payload, _ = any_message(chance, grammar)
            more, kind = mutate_wire(chance, payload)
            self._note(more, kind)
            wire += more
        expected = rfc6455.Reader(CLIENT_LIMITS).feed(wire)
        last = expected[-1] if expected else None
        await talk.send_wire(wire)
        await talk.finish()
        if isinstance(last, rfc6455.Close) and talk.closed == last.code:
            self._report.saw("closed: echoed")
        elif talk.closed or isinstance(last, rfc6455.Close | rfc6455.Violation):
            self._end(talk, "wire")
        else:
            self._report.saw("closed: the line was cut by us")

    async def _send(self, talk: Conversation, payload: bytes, kind: str, chance: Random) -> None:
        self._note(payload, kind)
        await talk.send(payload, chance.randbytes(4))

    def _note(self, data: bytes, kind: str) -> None:
        self._report.count(kind)
        self._trail.append((kind, data))

    def _end(self, talk: Conversation, kind: str) -> None:
        """Judges how a socket ended."""
        if talk.closed:
            self._report.saw(f"closed: {name_of(talk.closed)}")
        if not ends_well(talk.closed):
            self._find(kind, f"the socket ended with code {talk.closed} ({'none' if not talk.closed else name_of(talk.closed)})")

    def _find(self, kind: str, what: str) -> None:
        """The last inputs are the likely ones; all since the last sign of health are shown."""
        trail = self._trail[-BURST_MESSAGES_MAX - 1 :] or [(kind, b"")]
        shown = " | ".join(f"{word} {data[:120].hex()}" for word, data in trail[:-1])
        self._report.find(f"{kind or trail[-1][0]} after [{shown}]", what, trail[-1][1])


def is_answered(payload: bytes) -> bool:
    """Whether an open session owes every frame of `payload` an answer, however damaged it is; otherwise the socket may end."""
    try:
        frames = split(payload)
    except BadFrame:
        return False
    for raw in frames:
        try:
            if isinstance(decode_command(raw), Hello | Resume | Bye | Sync):
                return False
        except BadFrame as bad:
            if not bad.id:
                return False
    return len(payload) <= MESSAGE_BYTES_MAX


async def _outcome(talk: Conversation, number: int) -> Done | DoneRun | Refused | None:
    """The answer to mutation `number`; None if the socket ended."""
    while (frame := await talk.frame()) is not None:
        if isinstance(frame, Done | Refused) and frame.number == number:
            return frame
        if isinstance(frame, DoneRun) and frame.first <= number < frame.first + len(frame.values):
            return frame
    return None
