"""The line to models over Redis: a list for each model, shared by all ML processes, and a list of answers for each process that asks.

    send ─ script: is anybody there? is there room? ─▶ ml:v1:ask:moderation ─ BLMPOP ─▶ desk ─▶ reply
                                                       ml:v1:here:moderation (kept by who serves it, for 1.5 s)
    told ◀─ BLMPOP ─ ml:v1:answers:1f3a09c2 ◀──────────────────────────────────── RPUSH ╯

Each question carries until when, by Redis' own clock, the one clock that both sides can read: whoever takes a question that is late drops
it unread. Lists are read by connections of their own, since a blocking command holds up whatever comes behind it. A list, and not pub/sub,
takes the answers back: an answer that comes while the connection is made anew is still there, and a connection that is deaf says so by
answering nothing for longer than it may block.

Invariant: every list has a bound (what is asked) or a life of seconds (answers); with Redis gone nothing is sent, and nobody waits for it.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec
import trio

from actors.inference import Why
from actors.model_line import QUESTION, REPLY, Asked, LineAway, LineFull, ModelDesk, Question, Reply
from actors.model_line import pack as pack_packet
from gateway.redis_connection import (
    Connection,
    ConnectionLost,
    OutcomeUnknown,
    Part,
    RedisError,
    RedisRefused,
    Way,
    keep_connected,
    pack,
)
from gateway.redis_connection import Reply as RedisReply
from gateway.resp import Commands, Script

HEAD: Final = struct.Struct(">dI")
"""Until when (µs of Redis' clock), and who asks."""
HERE_MS: Final = 1500
HERE_EVERY_S: Final = 0.5
ANSWERS_MS: Final = 10_000
"""How long answers to a process that asks no more are kept."""
BLOCK_S: Final = 1.0
SILENT_S: Final = 3.0
"""A connection that has not answered a command, which may block for `BLOCK_S`, by then is made anew."""
TAKE_MAX: Final = 64
PUSHING_MAX: Final = 1000
"""Questions on their way to Redis; at 0.1 ms each the last one waits a tenth of a second."""
US: Final = 1_000_000.0

PUSH: Final = Script.of("""
if redis.call('EXISTS', KEYS[2]) == 0 then return -1 end
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
local t = redis.call('TIME')
local late = tonumber(t[1]) * 1000000 + tonumber(t[2]) + tonumber(ARGV[2])
redis.call('RPUSH', KEYS[1], struct.pack('>d', late) .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], 600000)
return 1
""")


def ask_key(model: str) -> bytes:
    return b"ml:v1:ask:" + model.encode()


def here_key(model: str) -> bytes:
    return b"ml:v1:here:" + model.encode()


def answers_key(origin: int) -> bytes:
    return b"ml:v1:answers:%08x" % origin


class RedisAsking:
    """`actors.model_line.AskingLine`."""

    def __init__(self, way: Way, *, origin: int, random: Callable[[], float], queue_max: int = 512) -> None:
        """`origin`: this process' number, 32 bits. `queue_max`: questions that may wait for one model."""
        self._commands = Commands(way, random=random)
        self._reader_way = msgspec.structs.replace(way, name=f"{way.name}-answers")
        self._origin = origin
        self._random = random
        self._queue_max = queue_max
        self._nursery: trio.Nursery | None = None
        self._pushing = 0
        self._told: Callable[[Reply], None] = lambda reply: None

    @property
    def up(self) -> bool:
        return self._nursery is not None and self._commands.up

    def send(self, model: str, question: Question, left_s: float) -> None:
        if self._nursery is None or not self._commands.up:
            raise LineAway("Redis cannot be reached")
        if self._pushing >= PUSHING_MAX:
            raise LineFull(f"{PUSHING_MAX} questions are on their way to Redis")
        self._pushing += 1
        self._nursery.start_soon(self._push, model, question.ticket, pack_packet(question), trio.current_time() + left_s)

    async def serve(self, told: Callable[[Reply], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._told = told
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._commands.serve)
                nursery.start_soon(keep_connected, self._reader_way, self._random, partial(_read, self._read_answers))
                self._nursery = nursery
                task_status.started()
        finally:
            self._nursery = None
            self._pushing = 0

    async def _push(self, model: str, ticket: int, packet: bytes, late_at: float) -> None:
        try:
            left_us = int((late_at - trio.current_time()) * US)
            packed = struct.pack(">I", self._origin) + packet
            said = await self._commands.run_script(PUSH, (ask_key(model), here_key(model)), (self._queue_max, left_us, packed))
        except OutcomeUnknown:
            return  # perhaps it is on its way: the time decides
        except RedisError as error:
            self._told(Reply(ticket, Why.AWAY.value, words=str(error)))
        else:
            if said == -1:
                self._told(Reply(ticket, Why.AWAY.value, words="no process serves it"))
            elif said == 0:
                self._told(Reply(ticket, Why.SHED.value, words=f"{self._queue_max} questions wait for it"))
        finally:
            self._pushing -= 1

    async def _read_answers(self, connection: Connection) -> None:
        key = answers_key(self._origin)
        while True:
            for packet in await _pop(connection, key, TAKE_MAX):
                try:
                    reply = REPLY.decode(packet)
                except msgspec.MsgspecError:
                    continue  # of no version that this one knows: its question runs out
                self._told(reply)


class RedisAnswering:
    """`actors.model_line.AnsweringLine`."""

    def __init__(self, way: Way, *, random: Callable[[], float]) -> None:
        self._way = way
        self._random = random
        self._commands = Commands(way, random=random)
        self._said_s: dict[str, float] = {}
        """By model, when it was last said that it is served here."""
        self.late = 0
        """Questions that were late when they were taken."""
        self.strange = 0
        """Packets of no version that this one knows."""
        self.unsent = 0
        """Replies that Redis did not take: who asked hears by their own clock."""

    async def serve(self, desk: ModelDesk, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._commands.serve)
            nursery.start_soon(self._keep_saying, desk)
            for model in desk.models:
                way = msgspec.structs.replace(self._way, name=f"{self._way.name}-{model}")
                nursery.start_soon(keep_connected, way, self._random, partial(_read, partial(self._read_questions, desk, model)))
            task_status.started()

    async def _keep_saying(self, desk: ModelDesk) -> None:
        while True:
            for model in desk.models:
                if desk.serves(model):
                    self._say_here(model)
            await trio.sleep(HERE_EVERY_S / 2)

    def _say_here(self, model: str) -> None:
        now = trio.current_time()
        if not self._commands.up or now - self._said_s.get(model, float("-inf")) < HERE_EVERY_S:
            return
        try:
            self._commands.post(pack(("SET", here_key(model), b"1", "PX", HERE_MS)), 1)
        except RedisError:
            self.unsent += 1  # again in a quarter of a second
        else:
            self._said_s[model] = now

    async def _read_questions(self, desk: ModelDesk, model: str, connection: Connection) -> None:
        ahead_us, asked_at = 0.0, float("-inf")
        while True:
            await desk.wait_room(model)
            # Before the first answer: what a process before this one said may run out at any moment, and whoever was answered asks again.
            self._say_here(model)
            now = trio.current_time()
            if now - asked_at > BLOCK_S:
                seconds, micros = await _answer_to(connection, "TIME")
                # Its clock was read between asking and hearing. The earlier is assumed: rather dropped too early than worked at for nobody.
                ahead_us, asked_at = int(seconds) * US + int(micros) - now * US, trio.current_time()
            packets = await _pop(connection, ask_key(model), min(TAKE_MAX, max(1, desk.room(model))))
            now = trio.current_time()
            for packet in packets:
                self._take(desk, model, packet, now, ahead_us)

    def _take(self, desk: ModelDesk, model: str, packet: bytes, now: float, ahead_us: float) -> None:
        try:
            late_us, origin = HEAD.unpack_from(packet)
            question = QUESTION.decode(memoryview(packet)[HEAD.size :])
        except (struct.error, msgspec.MsgspecError):
            self.strange += 1
            return
        late_at = (late_us - ahead_us) / US
        if late_at <= now:
            self.late += 1
            return
        desk.ask(Asked(model, question.key, bytes(question.request), late_at, partial(self._reply, origin, question.ticket)))

    def _reply(self, origin: int, ticket: int, why: Why | None, by: str, words: str, result: bytes) -> None:
        reply = Reply(ticket, why.value if why else "", by, words, msgspec.Raw(result or b"\xc0"))
        key = answers_key(origin)
        try:
            self._commands.post(pack(("RPUSH", key, pack_packet(reply))) + pack(("PEXPIRE", key, ANSWERS_MS)), 2)
        except (RedisError, ValueError):
            self.unsent += 1


async def _read(read: Callable[[Connection], Awaitable[None]], connection: Connection) -> None:
    await connection.share(read)


async def _pop(connection: Connection, key: bytes, most: int) -> Sequence[bytes]:
    """What there is, at most so many; () after `BLOCK_S` without any. Raises ConnectionLost."""
    popped = await _answer_to(connection, "BLMPOP", BLOCK_S, 1, key, "LEFT", "COUNT", most)
    return () if popped is None else popped[1]


async def _answer_to(connection: Connection, *parts: Part) -> RedisReply:
    try:
        with trio.fail_after(SILENT_S):
            return await connection.ask(*parts)
    except trio.TooSlowError as error:
        raise ConnectionLost(f"nothing for {SILENT_S} s") from error
    except RedisRefused as error:
        raise ConnectionLost(str(error)) from error
