"""The pure parts under fire, in this process: as many inputs as there is time for, and nothing but the legal answers.

    reader     rfc6455.Reader     events, then at most one Violation; the same however the bytes were cut; memory within its bound
    head       handshake          Head or Refusal; a decision
    codec      protocol.codec     values or BadFrame; memory within MESSAGE_COST bytes per byte
    sync       gateway.web_sync   steps, each with an id or a number; or a Problem
    tokens     gateway.tokens     Claims or a Code
    session    actors.session     frames and close codes of the table; no actor crashes; the queue behind is free

A target is a function from chance to one input; what it raises is the finding.
"""

from __future__ import annotations

import base64
import time
import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from actors.accounts import Claims
from gateway import rfc6455
from gateway.handshake import Head, Policy, Refusal, decide, parse_head
from gateway.problems import Problem
from gateway.tokens import KeySet, generate_pem
from gateway.web_sync import read_steps
from proofs.fuzzing.grammar import Grammar, Terrain, encode_tree
from proofs.fuzzing.heads import any_head
from proofs.fuzzing.house import House
from proofs.fuzzing.mutation import bombs, mutate_bytes, mutate_tree, mutate_wire
from proofs.fuzzing.verdict import Impossible, Report, ends_well, read_frames
from protocol.codec import MESSAGE_BYTES_MAX, BadFrame, decode_body, decode_command, decode_frame, decode_operation, encode, split
from protocol.codes import Code
from protocol.frames import Done, Failed, Goodbye, Refused, Sync, Welcome
from protocol.values import ID_MAX

MESSAGE_COST: Final = 16
"""Bytes of memory that decoding may take for each byte of a message. `protocol.codec` claims 13; an allocator's rounding comes on top."""
SLACK_BYTES: Final = 64 * 1024
"""What a decoder's error texts and first uses may take beside."""
SLOW_S: Final = 1.0
"""An input of at most 64 KiB that keeps the process this long is a finding: everybody else waits for it."""
TERRAIN: Final = Terrain((1, 2, 3, 2**53 - 1), (1, 2), (1, 2))
SOCKET_MESSAGES_MAX: Final = 4

Target = Callable[[Random], tuple[bytes, str]]
"""Attacks once; returns the input and its kind. Raises what went wrong, with the input in `Wrong`."""


class Wrong(Exception):
    """A promise broken by `data`."""

    def __init__(self, kind: str, what: str, data: bytes) -> None:
        super().__init__(what)
        self.kind = kind
        self.data = data


def any_message(chance: Random, grammar: Grammar) -> tuple[bytes, str]:
    """One binary message: damaged, bombed, and sometimes whole."""
    drawn = chance.random()
    if drawn < 0.08:
        return bombs(chance)
    tree = grammar.mutate() if chance.random() < 0.3 else grammar.command()
    if drawn < 0.5:
        tree, kind = mutate_tree(chance, tree)
    else:
        kind = "valid:one"
    if chance.random() < 0.15:
        tree, kind = [tree, *(grammar.command() for _ in range(chance.choice((1, 2, 15, 40))))], kind + " in a batch"
    try:
        data = encode_tree(tree)
    except (OverflowError, RecursionError):
        return b"\xc1", "tree:unencodable"
    if 0.5 <= drawn < 0.9:
        return mutate_bytes(chance, data, encode_tree(grammar.command()))
    return data, kind


class ReaderTarget:
    """Wires, cut anywhere."""

    name = "reader"

    def attack(self, chance: Random) -> tuple[bytes, str]:
        grammar = Grammar(chance, TERRAIN)
        wire, kind = b"", "wire"
        for _ in range(chance.randint(1, 4)):
            payload, _ = any_message(chance, grammar)
            more, kind = mutate_wire(chance, payload[:2_000])
            wire += more
        if chance.random() < 0.3:
            wire, kind = mutate_bytes(chance, wire, wire)
        limits = rfc6455.Limits(message_bytes_max=8_192)
        whole = rfc6455.Reader(limits).feed(wire)
        pieces: list[rfc6455.Event] = []
        reader = rfc6455.Reader(limits)
        at = 0
        while at < len(wire):
            size = chance.choice((1, 2, 7, 64, 4096))
            pieces += reader.feed(wire[at : at + size])
            at += size
            if reader.buffered_bytes > limits.message_bytes_max + 256 + size:
                raise Wrong(kind, f"{reader.buffered_bytes} bytes are held", wire)
        if whole != pieces:
            raise Wrong(kind, f"cut differently, read differently: {whole!r} and {pieces!r}"[:400], wire)
        ends = [event for event in whole if isinstance(event, rfc6455.Violation | rfc6455.Close)]
        if len(ends) > 1 or (ends and whole[-1] is not ends[0]):
            raise Wrong(kind, "events after the end", wire)
        if ends and isinstance(ends[0], rfc6455.Violation) and ends[0].code not in (1002, 1007, 1008, 1009):
            raise Wrong(kind, f"a violation with {ends[0].code}", wire)
        return wire, kind


class HeadTarget:
    """Request heads, whole and damaged."""

    name = "head"

    def attack(self, chance: Random) -> tuple[bytes, str]:
        data, kind = any_head(chance)
        end = data.find(b"\r\n\r\n")
        head = parse_head(data[: end + 4] if end >= 0 else data + b"\r\n\r\n")
        if isinstance(head, Head):
            decision = decide(head, Policy(origins=("https://learn.example",)))
            if isinstance(decision, Refusal):
                head = decision
        if isinstance(head, Refusal) and not head.response().startswith(b"HTTP/1.1 %d " % head.status):
            raise Wrong(kind, "a refusal without a status line", data)
        return data, kind


class CodecTarget:
    """Messages, into every decoder. A legal one must encode to the same again."""

    name = "codec"

    def attack(self, chance: Random) -> tuple[bytes, str]:
        data, kind = any_message(chance, Grammar(chance, TERRAIN))
        data = data[:MESSAGE_BYTES_MAX]
        began = time.perf_counter()
        self.decode(data)
        if time.perf_counter() - began > SLOW_S:
            raise Wrong(kind, f"decoding took {time.perf_counter() - began:.1f} s", data)
        return data, kind

    @staticmethod
    def decode(data: bytes) -> None:
        """Through all of the codec's doors."""
        try:
            frames = split(data)
        except BadFrame:
            frames = (data,)
        for raw in frames:
            for decode in (decode_command, decode_operation, decode_frame, decode_body):
                try:
                    decode(raw)
                except BadFrame as bad:
                    assert bad.code in (Code.BAD_FRAME, Code.INVALID, Code.UNKNOWN), bad.code


class SyncTarget:
    """Bodies of requests for sync, whole and damaged."""

    name = "sync"

    def attack(self, chance: Random) -> tuple[bytes, str]:
        grammar = Grammar(chance, TERRAIN)
        data, kind = any_message(chance, grammar)
        if chance.random() < 0.7:
            begin = chance.choice((encode(Sync()), encode(Sync(clock_ms=chance.randrange(2**53))), encode_tree(grammar.command())))
            data = bytes((0x92,)) + begin + data
        try:
            _, steps = read_steps(data)
        except Problem as problem:
            if problem.status != 400:
                raise Wrong(kind, f"refused with {problem.status}", data) from None
            return data, f"{kind}: refused"
        for step in steps:
            if isinstance(step, BadFrame) and not 0 < step.id <= ID_MAX:
                raise Wrong(kind, f"nobody could be answered by {step.id}", data)
        return data, f"{kind}: {'steps' if steps else 'none'}"


class TokenTarget:
    """Tokens: good ones with wounds, and what never was one."""

    name = "tokens"

    def __init__(self) -> None:
        self._keys = KeySet(generate_pem())

    def attack(self, chance: Random) -> tuple[bytes, str]:
        good, _ = self._keys.issue(7, 8, 9, 1_000_000.0)
        parts = good.split(".")
        at = chance.randrange(3)
        plain = base64.urlsafe_b64decode(parts[at] + "==")
        match chance.randrange(4):
            case 0:
                plain, _ = mutate_bytes(chance, plain, plain)
            case 1:
                depth = chance.choice((10, 500, 1_200))
                plain = b'{"kid":' + b"[" * depth + b"]" * chance.choice((0, depth)) + b"}"
            case 2:
                hostile = chance.choice((b"null", b"1e999", b"[]", b'"x"', b"-1", b"9" * 400, b'{"a":1}', b"NaN"))
                plain = chance.choice((b"%s", b'{"kid":%s}', b'{"alg":%s}', b'{"alg":"EdDSA","kid":"x","crit":%s}')) % hostile
            case _:
                plain = chance.randbytes(chance.randint(0, 80))
        parts[at] = base64.urlsafe_b64encode(plain).rstrip(b"=").decode()
        token = ".".join(parts[: chance.choice((0, 1, 2, 3, 3, 3, 3))])[:2048]
        data = token.encode()
        claims = self._keys.verify(token, 1_000_001.0)
        if isinstance(claims, Claims) and claims != self._keys.verify(good, 1_000_001.0):
            raise Wrong("token", f"forged: {claims}", data)
        return data, "token"


class SessionTarget:
    """A socket, opened again whenever it ends, into the whole house of actors."""

    name = "session"

    def __init__(self, seed: int) -> None:
        self._house = House(seed)
        self._open = False
        self._sent = 0

    def attack(self, chance: Random) -> tuple[bytes, str]:
        house = self._house
        if not self._open:
            self._arrive(chance)
        grammar = Grammar(chance, house.terrain)
        grammar.number = house.device.last_number + 1
        data, kind = any_message(chance, grammar)
        self._inlet.received(data)
        self._sent += 1
        house.settle()
        self._judge(kind, data)
        if self._open and self._sent >= SOCKET_MESSAGES_MAX:
            self._leave(kind, data)
        return data, kind

    def _arrive(self, chance: Random) -> None:
        self._house.renew()
        self._outlet, self._inlet = self._house.open()
        self._open, self._sent = True, 0
        self._welcomed = chance.random() < 0.85
        if self._welcomed:
            self._inlet.received(self._house.hello())
            self._house.settle()
            if not any(isinstance(frame, Welcome) for payload in self._outlet.heard for frame in read_frames(payload)):
                raise Wrong("hello", f"no Welcome but {self._outlet.closed}", b"")

    def _judge(self, kind: str, data: bytes) -> None:
        house, outlet = self._house, self._outlet
        heard, outlet.heard = outlet.heard, []
        if house.crashes:
            crash = house.crashes.pop()
            house.crashes.clear()
            self._open = False
            raise Wrong(kind, crash, data)
        said_goodbye = False
        try:
            for payload in heard:
                for frame in read_frames(payload):
                    if isinstance(frame, Goodbye):
                        said_goodbye = True
                    elif isinstance(frame, Failed | Refused) and frame.code is Code.OK:
                        raise Impossible(f"a refusal that says OK: {frame}")
        except Impossible as impossible:
            raise Wrong(kind, str(impossible), data) from None
        if outlet.closed:
            self._open = False
            self._inlet.closed(outlet.closed, "")
            house.settle()
            if not ends_well(outlet.closed) or not (said_goodbye or outlet.closed in (Code.BYE, Code.FLOOD)):
                raise Wrong(kind, f"the socket ended with {outlet.closed} and{' ' if said_goodbye else ' no '}Goodbye", data)

    def _leave(self, kind: str, data: bytes) -> None:
        """Before it goes: whatever was refused, the next number is free."""
        house, outlet = self._house, self._outlet
        if self._welcomed_now():
            number = house.device.last_number + 1
            grammar = Grammar(Random(0), house.terrain)
            grammar.number = number
            self._inlet.received(encode_tree(grammar.mutate([5, house.terrain.streams[0], 2**40])))
            house.settle()
            answers = [frame for payload in outlet.heard for frame in read_frames(payload)]
            if not any(isinstance(frame, Done | Refused) and frame.number == number for frame in answers) and not outlet.closed:
                raise Wrong(kind, f"mutation {number} is stuck behind something: {answers!r}"[:400], data)
        self._inlet.closed(1000, "")
        house.settle()
        self._open = False

    def _welcomed_now(self) -> bool:
        return self._welcomed and not self._outlet.closed


def bomb_costs(chance: Random, rounds: int) -> tuple[float, list[str]]:
    """The most bytes of memory for a byte of message that any bomb took, and which took more than they may.

    The codec is called in the way a session calls it; one frame's values are gone before the next is decoded.
    """
    worst, guilty = 0.0, []
    for data in [bombs(chance)[0] for _ in range(rounds)]:
        data = data[:MESSAGE_BYTES_MAX]
        tracemalloc.start()
        try:
            _as_a_session_would(data)
        except Exception as crash:  # noqa: BLE001 - whatever comes out of the codec is what this looks for
            guilty.append(f"{crash!r} for {data[:40].hex()}")
        finally:
            _, peak_bytes = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        if len(data) > 4_096:
            worst = max(worst, peak_bytes / len(data))
        if peak_bytes > MESSAGE_COST * len(data) + SLACK_BYTES:
            guilty.append(f"{peak_bytes} bytes of memory for {len(data)} bytes {data[:40].hex()}")
    return worst, guilty


def _as_a_session_would(data: bytes) -> None:
    try:
        for raw in split(data):
            command = decode_command(raw)
            operation = getattr(command, "operation", None)
            if operation is not None:
                decode_operation(bytes(operation))
    except BadFrame:
        return


class _Attacker(msgspec.Struct, frozen=True):
    share: int
    attack: Target


def attack_pure(seed: int, inputs: int) -> Report:
    """Draws `inputs` inputs over all targets. Findings are in the report; nothing is raised."""
    report = Report()
    targets = [
        ("reader", _Attacker(5, ReaderTarget().attack)),
        ("head", _Attacker(4, HeadTarget().attack)),
        ("codec", _Attacker(6, CodecTarget().attack)),
        ("sync", _Attacker(3, SyncTarget().attack)),
        ("tokens", _Attacker(1, TokenTarget().attack)),
        ("session", _Attacker(4, SessionTarget(seed).attack)),
    ]
    shares = sum(target.share for _, target in targets)
    for name, target in targets:
        for number in range(max(1, inputs * target.share // shares)):
            chance = Random(f"{seed}:{name}:{number}")
            try:
                _, kind = target.attack(chance)
            except Wrong as wrong:
                kind = wrong.kind
                report.find(f"{name} {kind} (seed {seed}, number {number})", str(wrong), wrong.data)
            except Exception as crash:  # noqa: BLE001 - whatever comes out of a target is what this looks for
                kind = "crash"
                report.find(f"{name} (seed {seed}, number {number})", f"crashed: {crash!r}", b"")
            report.count(f"{name}:{kind}")
    worst, guilty = bomb_costs(Random(seed), 200)
    for what in guilty:
        report.find("codec bomb", what, b"")
    report.outcomes["bytes of memory per byte of bomb, at most (rounded up)"] = int(worst) + 1
    return report
