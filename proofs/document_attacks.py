"""What is done to a document by somebody who may write in it: one attack a process, so that it takes no time from those who are measured.

    python -m proofs.document_attacks ATTACK TARGET     TARGET: a `Target`, in JSON; what came of it is one line of JSON

Each runs for so long as it is told, over sockets of its own from an address of its own, and counts the codes that it was answered or ended
with.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
import trio
from msgspec import Raw, Struct

from proofs.matrixing.ground import Login
from proofs.matrixing.speaking import Ended, Talker, converse, talk
from protocol.codec import encode
from protocol.codes import Code
from protocol.documents import checksum_of
from protocol.frames import Goodbye, Hello, Mutate
from protocol.operations import Update

ADDRESS: Final = "127.0.0.9"
FLOOD_PER_S: Final = 10_000
BATCH: Final = 200
HUGE_BYTES: Final = 10_000_000
AGAIN_S: Final = 0.05
PACE_S: Final = 0.02
"""Between two updates of the attacks that are not about their number."""
ENDED: Final = "ended "
SHUT_OUT: Final = "shut out"
TRIED: Final = "tried"
CRASHING: Final = (
    # pycrdt 0.14.13 ends with SIGSEGV when it has applied both: the first stands beside what its author writes later.
    bytes.fromhex("0102ffffffff0f000001a8ffffffff0f02027dcea592fccee9017c7fc0000000"),
    bytes.fromhex("0101ffffffff0f0284ffffffff0f0014787878787878787878787878787878787878787800"),
)
REFERRING: Final = (
    # Each stands beside what the other has not written yet; pycrdt 0.14.13 does not survive the third.
    bytes.fromhex("0101020084ffffffff0f0414787878787878787878787878787878787878787800"),
    bytes.fromhex("0101ffffffff0f008402010364656600"),
    bytes.fromhex("0101ffffffff0f02000500"),
    b"\0\1\5\1\0\5",  # deletes what is yet to be written
)
UNSOUND: Final = (
    *CRASHING,
    *REFERRING,
    b"\1\1\5\0\x28\1\1m\1k\1\x76\xff\xff\xff\xff\x0f\0",  # a map of four thousand million entries
    b"\1\xff\xff\xff\xff\x07\5\0\4\1\4text\1x\0",  # two thousand million structs
    b"\1\1\5\0\x27\1\1m\1k\0\0",  # an array, over which pycrdt has looped
    b"\0\1\5\1\0\xff\xff\xff\xff\xff\xff\x7f",  # deletes far more than there is
    b"\1\1\5\0\x28\1\1m\1k\1" + b"\x75\1" * 500 + b"\x7e\0",  # 500 lists in one another
)


class Target(Struct, frozen=True):
    """Where the attack goes. `pen`: somebody else's, `upto`: where it ended. `seconds`: how long it goes on."""

    port: int
    login: Login
    document: int
    generation: int
    pen: int
    upto: int
    seconds: float


def key(pen: int, clock: int) -> bytes:
    """The update of one letter in a text called `spam`."""
    number = bytearray()
    for value in (pen, clock):
        while value > 0x7F:
            number.append(value & 0x7F | 0x80)
            value >>= 7
        number.append(value)
    return b"\1\1" + bytes(number) + b"\4\1\4spam\1x\0"


def written(target: Target, raw: bytes, generation: int = 0) -> Update:
    return Update(target.document, generation or target.generation, raw, checksum_of(raw))


async def unsound(target: Target, counts: Counter[str]) -> None:
    """Updates that would make who applies them crash, loop, or take all memory; and noise."""
    luck = random.Random(1)
    async with talk(target.port, ADDRESS, target.login) as talker:
        while True:
            noise = bytes([1, 1]) + luck.randbytes(luck.randint(1, 1_000))
            counts[TRIED] += 1
            code, _, _ = await talker.do(written(target, luck.choice((*UNSOUND, noise))))
            counts[code.name] += 1
            await trio.sleep(PACE_S)


async def huge(target: Target, counts: Counter[str]) -> None:
    """Messages of 10 MB, each on a socket of its own."""
    while True:
        async with converse(target.port, ADDRESS) as conversation:
            await conversation.send(encode(Hello(1, target.login.token, target.login.device)))
            counts[TRIED] += 1
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                await conversation.send(encode(Mutate(1, Raw(encode(written(target, b"\0\0"))))) + bytes(HUGE_BYTES))
            code = 0
            while (frame := await conversation.frame()) is not None:
                code = int(frame.code) if isinstance(frame, Goodbye) else code
            counts[f"{ENDED}{name_of(code or conversation.closed)}"] += 1
        await trio.sleep(AGAIN_S)


async def forged(target: Target, counts: Counter[str]) -> None:
    """Writes with somebody else's pen: their next words, their last ones, in a pen of two, in another generation."""
    async with talk(target.port, ADDRESS, target.login) as talker:
        for turn in range(10**9):
            of_two = b"\2" + key(target.pen, target.upto)[1:-1] + key(5, 0)[1:]
            for operation in (
                written(target, key(target.pen, target.upto + turn)),
                written(target, key(target.pen, 0)),
                written(target, of_two),
                written(target, key(6, 0), 1 + target.generation % 2_000_000),
            ):
                counts[TRIED] += 1
                code, _, _ = await talker.do(operation)
                counts[code.name] += 1
                await trio.sleep(PACE_S)


async def flood(target: Target, counts: Counter[str]) -> None:
    """Ten thousand updates a second, as long as a socket takes them, and then on the next one."""
    pen = 1 + random.getrandbits(31)
    clock = 0
    while True:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, ConnectionError, OSError):
            try:
                async with talk(target.port, ADDRESS, target.login) as talker, trio.open_nursery() as nursery:
                    nursery.start_soon(_answers, talker)
                    due_s = trio.current_time()
                    while True:
                        frames = [
                            encode(Mutate(talker.take_number(), Raw(encode(written(target, key(pen, clock + n)))))) for n in range(BATCH)
                        ]
                        await talker.send(*frames)
                        counts[TRIED] += BATCH
                        clock += BATCH
                        due_s += BATCH / FLOOD_PER_S
                        await trio.sleep_until(due_s)
            except* Ended as group:
                for ended in group.exceptions:
                    counts[f"{ENDED}{name_of(ended.code if isinstance(ended, Ended) else 0)}"] += 1
            except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                counts[SHUT_OUT] += 1
        pen, clock = pen + 1, 0
        await trio.sleep(AGAIN_S)


async def _answers(talker: Talker) -> None:
    while True:
        await talker.frame()


def name_of(code: int) -> str:
    return Code(code).name if code in Code.__members__.values() else str(code)


Attack = Callable[[Target, Counter[str]], Awaitable[None]]
ATTACKS: Final[Mapping[str, Attack]] = {"unsound": unsound, "huge": huge, "forged": forged, "flood": flood}


async def attack(name: str, target: Target) -> Counter[str]:
    """What came of it."""
    counts: Counter[str] = Counter()
    with trio.move_on_after(target.seconds):
        await ATTACKS[name](target, counts)
    return counts


def main(name: str, target: str) -> None:
    counts = trio.run(attack, name, msgspec.json.decode(target, type=Target))
    print(msgspec.json.encode(counts).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
