"""Attacks by people who have an account: with messages, with their tokens and tickets, and by not reading.

bombs · fragments · caps · slow_readers · replays · tickets        each returns a Verdict
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from random import Random
from typing import Final

import httpx
import msgspec
import trio

from actors.session import SessionLimits
from bench.population import Person
from client import Account
from client.errors import AccountError
from gateway import rfc6455
from gateway.tokens import KeySet, generate_pem
from proofs.fuzzing.field import Field, Verdict
from proofs.fuzzing.heads import encode_lines, handshake
from proofs.fuzzing.line import Conversation, Silent
from proofs.fuzzing.mutation import bombs as any_bomb
from proofs.fuzzing.verdict import ends_well, name_of
from protocol.codec import encode, join
from protocol.codes import Code
from protocol.frames import (
    AnyFrame,
    DoneRun,
    Failed,
    Follow,
    Goodbye,
    Hello,
    History,
    Mutate,
    Ping,
    Pong,
    Refused,
    Resume,
    Resumed,
    TakeTicket,
    Ticket,
    Watch,
    Welcome,
)
from protocol.operations import Join, Say

LIMITS: Final = SessionLimits()
BOMBS: Final = 300
FRAGMENTED: Final = 100
FRAGMENTS: Final = 5_000
SLOW_READERS: Final = 24
ASKED: Final = 20_000
GROWTH_MAX_MIB: Final = 64.0
STUCK_S: Final = 90.0
ANSWERS_S: Final = 30.0


async def bombs(field: Field) -> Verdict:
    """Messages that are small to send and would be large, deep or slow to take apart, before the Hello and after it."""
    verdict = Verdict()
    chance = Random(1)
    before_mib = field.resident_mib()
    for number in range(field.some(BOMBS)):
        rogue = field.rogues[number % 8]
        async with field.talk("127.9.7.1") as talk:
            if number % 3:
                await field.enter(talk, rogue)
            data, kind = any_bomb(chance)
            await talk.send(data)
            await talk.send(encode(Ping(77)))
            answered = await _until(talk, Pong, Goodbye)
            verdict.count(name_of(talk.closed) if talk.closed else type(answered).__name__)
            verdict.demand(answered is not None or ends_well(talk.closed), f"{kind} was answered by nothing, and {talk.closed}")
    verdict.figures["memory grew by, MiB"] = round(field.resident_mib() - before_mib, 1)
    verdict.demand(field.resident_mib() - before_mib < GROWTH_MAX_MIB, "memory grew")
    return verdict


async def _until(talk: Conversation, *kinds: type[AnyFrame]) -> AnyFrame | None:
    """The next frame of one of these kinds; None at the end."""
    while (frame := await talk.frame()) is not None:
        if isinstance(frame, kinds):
            return frame
    return None


async def fragments(field: Field) -> Verdict:
    """Messages in fragments of one byte, and messages that never end."""
    verdict = Verdict()
    before_mib = field.resident_mib()
    key = b"frag"
    tiny = rfc6455.encode(rfc6455.CONTINUATION, b"x", final=False, key=key) * FRAGMENTS
    large = rfc6455.encode(rfc6455.CONTINUATION, b"x" * 1_024, final=False, key=key) * 512
    for number in range(field.some(FRAGMENTED)):
        async with field.talk(f"127.9.8.{1 + number % 8}") as talk:
            await talk.send_wire(rfc6455.encode(rfc6455.BINARY, b"x", final=False, key=key) + (tiny, large)[number % 2])
            wanted = (rfc6455.POLICY, rfc6455.TOO_BIG)[number % 2]
            await _until(talk, Goodbye)
            verdict.count(talk.closed)
            verdict.demand(talk.closed in (wanted, 0), f"fragments were answered by {talk.closed}, not {wanted}")
    verdict.figures["memory grew by, MiB"] = round(field.resident_mib() - before_mib, 1)
    verdict.demand(field.resident_mib() - before_mib < GROWTH_MAX_MIB, "memory grew")
    verdict.demand(verdict.figures.get(str(int(rfc6455.POLICY)), 0) != 0, "no fragments were refused")
    return verdict


async def caps(field: Field) -> Verdict:
    """More follows, watches, questions, commands, joins and cursors than anybody may have."""
    verdict = Verdict()

    async def over(name: str, make: Callable[[int], list[bytes]], *codes: Code, allowed: int) -> None:
        """At most `allowed` of these, made from the next number on, may not be refused with one of `codes`; FLOOD ends them all."""
        async with field.member(field.rogues[0], "127.9.9.1") as (talk, welcome):
            frames = make(welcome.last_number + 1)
            at = 0
            while at < len(frames):
                await talk.send(join(frames[at : at + 200]))
                at += 200
            answered = refused = 0
            with trio.move_on_after(ANSWERS_S):
                while answered < len(frames) and (frame := await talk.frame()) is not None:
                    answered += len(frame.values) if isinstance(frame, DoneRun) else 1
                    refused += isinstance(frame, Failed | Refused) and frame.code in codes
            ended = name_of(talk.closed) if talk.closed else "stays"
            words = " or ".join(code.name for code in codes)
            verdict.figures[name] = f"{len(frames)} sent, {answered} answered, {refused} of them {words}, socket {ended}"
            kept = refused >= len(frames) - allowed or talk.closed == Code.FLOOD
            verdict.demand(kept, f"{name}: {refused} of {len(frames)} were refused with {words}, and the socket {ended}")

    def joins(number: int) -> list[bytes]:
        return [encode(Mutate(number + n, msgspec.Raw(encode(Join(10**6 + n))))) for n in range(200)]

    def ahead(number: int) -> list[bytes]:
        return [encode(Mutate(number + 10**6, msgspec.Raw(encode(Join(10**6)))))]

    # Which of these streams there are, nobody is told; those that there are not hold no place.
    follows = [encode(Follow(1 + n, 10**6 + n, 0)) for n in range(LIMITS.follows_max + 80)]
    watches = [encode(Watch(1 + n, 10**6 + n, True)) for n in range(60)]
    questions = [encode(History(1 + n, field.streams[0], after=1)) for n in range(100)]
    pings = [encode(Ping(1 + n)) for n in range(2_000)]
    await over("streams followed", lambda number: follows, Code.LIMIT, Code.NOT_FOUND, allowed=0)
    await over("spaces watched", lambda number: watches, Code.LIMIT, Code.NOT_FOUND, Code.FORBIDDEN, allowed=0)
    await over("questions at once", lambda number: questions, Code.BUSY, allowed=LIMITS.asks_max)
    await over("commands", lambda number: pings, Code.RATE, allowed=int(LIMITS.commands.burst))
    await over("joins", joins, Code.NOT_FOUND, Code.RATE, Code.BUSY, allowed=0)
    await over("a number far ahead", ahead, Code.GAP, allowed=0)
    async with field.talk("127.9.9.2") as talk:
        rogue = field.rogues[1]
        cursors = [[1 + n, 0] for n in range(257)]
        await talk.send(msgspec.msgpack.encode([1, 1, rogue.token, rogue.device, cursors]))
        await _until(talk, Goodbye)
        verdict.figures["257 cursors"] = name_of(talk.closed)
        verdict.demand(talk.closed == Code.BAD_FRAME, f"257 cursors were answered by {talk.closed}")
    return verdict


class _SlowReader:
    """A socket that asks for as much as is taken of it, and reads nothing."""

    def __init__(self, number: int) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        self.sock.bind((f"127.9.10.{1 + number % 100}", 0))
        self.sock.settimeout(10.0)
        ask = rfc6455.encode(rfc6455.BINARY, join([encode(Ping(1 + n)) for n in range(200)]), key=b"slow")
        self._unsent = memoryview(ask * (ASKED // 200))

    def enter(self, port: int, rogue: Person) -> None:
        """Says hello. Blocks for a moment."""
        self.sock.connect(("127.0.0.1", port))
        self.sock.send(encode_lines(handshake()))
        self.sock.recv(1_024)
        self.sock.sendall(rfc6455.encode(rfc6455.BINARY, encode(Hello(1, rogue.token, rogue.device)), key=b"slow"))
        self.sock.setblocking(False)

    def ask(self) -> None:
        """Asks until nothing more is taken now. A busy server takes less at once, and all of it in the end."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")


async def slow_readers(field: Field) -> Verdict:
    """Sockets that ask for much and read nothing."""
    verdict = Verdict()
    before_mib = field.resident_mib()
    most_mib = before_mib
    readers: list[_SlowReader] = []
    try:
        for number in range(field.some(SLOW_READERS)):
            reader = _SlowReader(number)
            readers.append(reader)
            await trio.to_thread.run_sync(reader.enter, field.port, field.rogues[number % len(field.rogues)])
            reader.ask()
            most_mib = max(most_mib, field.resident_mib())
        with trio.move_on_after(STUCK_S):
            while not all(_ended(reader.sock) for reader in readers):
                for reader in readers:
                    reader.ask()
                most_mib = max(most_mib, field.resident_mib())
                await trio.sleep(0.1)
        ended = sum(_ended(reader.sock) for reader in readers)
    finally:
        for reader in readers:
            reader.sock.close()
    verdict.figures |= {
        "readers": len(readers),
        "ended by the server": ended,
        "memory grew by at most, MiB": round(most_mib - before_mib, 1),
    }
    verdict.demand(most_mib - before_mib < GROWTH_MAX_MIB, f"memory grew by {most_mib - before_mib:.0f} MiB")
    verdict.demand(ended == len(readers), f"{len(readers) - ended} slow readers were still there after {STUCK_S:g} s")
    return verdict


def _ended(sock: socket.socket) -> bool:
    """Whether the server has closed: what waits to be read is passed over without making room for more than it takes to know."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return info[0] != 1  # TCP_ESTABLISHED


async def replays(field: Field) -> Verdict:
    """A refresh token is used again: whoever holds the family loses it, and the socket with it."""
    verdict = Verdict()
    async with httpx.AsyncClient(trust_env=False, timeout=20.0) as http:
        account = Account(field.url, http)
        for number in range(field.some(5)):
            credentials = await account.register(f"victim{number}{secrets.token_hex(3)}", "a-heron-in-the-reeds")
            stolen = credentials.login.refresh_token
            await credentials.renew()
            await credentials.renew()
            async with field.talk("127.9.11.1") as talk:
                await talk.send(encode(Hello(1, credentials.access_token, credentials.device)))
                welcome = await talk.frame()
                began_s = trio.current_time()
                try:
                    await account.refresh(stolen)
                    verdict.demand(False, "a refresh token was good a second time")
                except AccountError as refused:
                    verdict.count(f"replay: {refused.code}" if hasattr(refused, "code") else "replay: refused")
                await _until(talk, Goodbye)
                took_s = trio.current_time() - began_s
            verdict.figures["socket ended after, ms"] = round(1_000 * took_s)
            verdict.demand(
                isinstance(welcome, Welcome) and talk.closed == Code.REVOKED, f"the thief's replay left the socket with {talk.closed}"
            )
            answer = await http.get(f"{field.url}/api/v1/auth/sessions", headers={"authorization": f"Bearer {credentials.access_token}"})
            verdict.demand(answer.status_code == 401, f"the family's access token was still answered {answer.status_code}")
    return verdict


async def tickets(field: Field) -> Verdict:
    """Tickets that are forged, foreign, expired, cut, lengthened, of another's, and after the session has ended."""
    verdict = Verdict()
    rogue, other = field.rogues[2], field.rogues[3]
    mine, theirs = await _ticket(field, rogue), await _ticket(field, other)
    claims = field.claims(rogue)
    foreign = KeySet(generate_pem(), epoch=lambda: 1)
    forged = {
        "foreign": foreign.seal(claims, 1, b""),
        "noise": secrets.token_bytes(len(mine)),
        "one bit": mine[:-1] + bytes((mine[-1] ^ 1,)),
        "another user in it": mine[:5] + theirs[5:-12] + mine[-12:],
        "later end": mine[:1] + b"\xff\xff\xff\xf0" + mine[5:],
        "cut": mine[:-1],
        "lengthened": mine + b"\0",
        "other terms": field.keys.seal(claims, 1, b"other terms"),
        "one byte": b"\0",
    }
    for name, ticket in forged.items():
        async with field.talk("127.9.12.1") as talk:
            await talk.send(encode(Resume(ticket, 1_000)))
            refused = await _until(talk, Failed, Resumed, Goodbye)
            good = isinstance(refused, Failed) and refused.code is Code.TICKET
            verdict.count(refused.code.name if isinstance(refused, Failed) else repr(refused))
            verdict.demand(good, f"a ticket ({name}) was answered by {refused!r}")
            welcome = await field.enter(talk, rogue) if good else None
            verdict.demand(not good or isinstance(welcome, Welcome), f"after a refused ticket ({name}) Hello was answered by {welcome!r}")
    # The same good ticket, again and again: each resumes, and takes the socket over from the one before.
    async with field.talk("127.9.12.2") as first, field.talk("127.9.12.3") as second:
        left_ms = 60_000
        await first.send(encode(Resume(mine, left_ms)))
        once = await _until(first, Resumed, Failed, Goodbye)
        await second.send(encode(Resume(mine, left_ms)))
        twice = await _until(second, Resumed, Failed, Goodbye)
        await _until(first, Goodbye)
        verdict.figures["a good one, replayed"] = f"{type(once).__name__}, {type(twice).__name__}; the first socket {name_of(first.closed)}"
        verdict.demand(isinstance(once, Resumed) and isinstance(twice, Resumed), f"a good ticket was answered by {once!r} and {twice!r}")
        verdict.demand(first.closed == Code.TAKEN_OVER, f"the socket that was resumed elsewhere ended with {first.closed}")
    await _after_logout(field, verdict)
    return verdict


async def _after_logout(field: Field, verdict: Verdict) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=20.0) as http:
        account = Account(field.url, http)
        credentials = await account.register(f"leaver{secrets.token_hex(3)}", "a-heron-in-the-reeds")
        person = Person(credentials.user, credentials.device, credentials.access_token)
        ticket = await _ticket(field, person)
        await account.logout(credentials.access_token)
    async with field.talk("127.9.12.4") as talk:
        await talk.send(encode(Resume(ticket, 1_000)))
        answer = await _until(talk, Resumed, Failed, Goodbye)
    verdict.figures["after the log-out"] = name_of(talk.closed) if talk.closed else repr(answer)
    verdict.demand(not isinstance(answer, Resumed), "a ticket outlived its session")


async def _ticket(field: Field, rogue: Person) -> bytes:
    async with field.member(rogue, "127.9.12.5") as (talk, _):
        await talk.send(encode(TakeTicket(9)))
        ticket = await _until(talk, Ticket, Failed)
        if not isinstance(ticket, Ticket):
            raise ConnectionError(f"no ticket but {ticket!r}")
        return ticket.ticket


async def chatter(field: Field) -> Verdict:
    """Members who talk as fast as they can, in a channel of their own."""
    verdict = Verdict()
    until_s = time.monotonic() + max(2.0, 10.0 * field.share)

    async def talk_on(number: int) -> None:
        try:
            async with field.member(field.rogues[8 + number], "127.9.13.1") as (talk, welcome):
                mine = welcome.last_number
                while time.monotonic() < until_s and not talk.closed:
                    mine += 1
                    await talk.send(encode(Mutate(mine, msgspec.Raw(encode(Say(field.streams[0], f"noise {mine}"))))))
                    if mine % 20 == 0:
                        await talk.send(encode(Ping(mine)))
                        await _until(talk, Pong, Failed, Goodbye)
                verdict.count(name_of(talk.closed) if talk.closed else "stayed")
        except (Silent, ConnectionError, OSError) as gone:
            verdict.count(type(gone).__name__)

    async with trio.open_nursery() as everybody:
        for number in range(8):
            everybody.start_soon(talk_on, number)
    return verdict
