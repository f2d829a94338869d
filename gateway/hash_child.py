"""Hashes in a process of its own: `python -m gateway.hash_child NICENESS`. Ends when its standard input does.

    length, order ─▶ obey ─▶ length, answer

It imports argon2 and, for who sets a password, zxcvbn; nothing else of the product. It may be killed at any moment.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import BinaryIO, Final

import msgspec

from gateway.hash_orders import AnyDone, AnyOrder, obey

LENGTH: Final = struct.Struct(">I")
FRAME_BYTES_MAX: Final = 1 << 20

_ORDERS: Final = msgspec.msgpack.Decoder(AnyOrder)


def frame(message: AnyOrder | AnyDone) -> bytes:
    """One message as it goes through a pipe."""
    packed = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(packed)) + packed


def main() -> None:
    if len(sys.argv) > 1 and (wanted := int(sys.argv[1])):
        os.setpriority(os.PRIO_PROCESS, 0, min(os.getpriority(os.PRIO_PROCESS, 0) + wanted, 19))
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    while packed := _read(orders):
        answers.write(frame(obey(_ORDERS.decode(packed))))
        answers.flush()


def _read(pipe: BinaryIO) -> bytes:
    head = pipe.read(LENGTH.size)
    return pipe.read(*LENGTH.unpack(head)) if len(head) == LENGTH.size else b""


if __name__ == "__main__":
    main()
