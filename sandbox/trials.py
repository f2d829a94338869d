"""Tasks that try the fences: each does one thing that a hostile payload could make a decoder do. What `doctor` and the tests run.

Invariant: none of them has an effect outside of its own process.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from typing import Final

from sandbox.child import Task


def echo(payload: bytes) -> bytes:
    """The payload."""
    return payload


def loop(payload: bytes) -> bytes:
    """Never ends, and holds the interpreter."""
    while True:
        pass


def grow(payload: bytes) -> bytes:
    """Asks for `payload` (digits) MiB at once, and touches them."""
    return bytes(bytearray(int(payload) * 1024 * 1024))[:1]


def talk(payload: bytes) -> bytes:
    """Answers `payload` (digits) bytes, past the bound that the child itself looks at."""
    sys.stdout.buffer.write(bytes(int(payload)))
    return b""


def complain(payload: bytes) -> bytes:
    """Raises what it was given, after 1 MB of words."""
    sys.stderr.write("w" * 1_000_000)
    raise ValueError(payload.decode())


def crash(payload: bytes) -> bytes:
    """Ends as a decoder in C does that wrote where it should not."""
    os.abort()


def write(payload: bytes) -> bytes:
    """Writes into the file of this name."""
    with open(payload, "wb") as file:
        file.write(b"here")
    return b"written"


def fork(payload: bytes) -> bytes:
    """Leaves a process behind that holds all three pipes."""
    if os.fork() == 0:
        while True:
            pass
    return b"forked"


def surroundings(payload: bytes) -> bytes:
    """What it can see: names of the environment, and whether an address on the network (`host:port`) answers."""
    host, port = payload.decode().split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        reached = "reached"
    except OSError:
        reached = "unreached"
    return f"{reached} {' '.join(sorted(os.environ))}".encode()


TASKS: Final[Mapping[str, Task]] = {
    "echo": echo,
    "loop": loop,
    "grow": grow,
    "talk": talk,
    "complain": complain,
    "crash": crash,
    "write": write,
    "fork": fork,
    "surroundings": surroundings,
}
