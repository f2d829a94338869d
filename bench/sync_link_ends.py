"""What the programs at the link's ends and the measurement say to each other, in lines.

    server   is told a Task in its arguments, says its port, serves until it is ended
    client   is told a Task, prepares, says "ready", waits for "go", does the day's sync, says Done

Invariant: between "go" and `Done` lies the sync and nothing else: no imports, no preparation.
"""

from __future__ import annotations

import sys

import msgspec

from bench.sync_link_tls import TlsFiles


class Task(msgspec.Struct, frozen=True):
    """Of one program. What a server needs no client looks at, and the other way round."""

    seed: int
    tls: TlsFiles
    port: int = 0
    run: int = 0
    compressed: bool = False
    folder: str = ""
    seat: str = ""
    """Of our own client: who it is, as JSON."""

    @property
    def root(self) -> str:
        return self.tls.root


class Done(msgspec.Struct, frozen=True):
    """How a sync went. `marks`: seconds until something was reached; `sockets`: connections or requests made; `twice_bytes`: payload sent
    again after a cut."""

    took_s: float
    marks: dict[str, float]
    sockets: int = 1
    twice_bytes: int = 0
    notes: str = ""

    def tell(self) -> None:
        print(msgspec.json.encode(self).decode(), flush=True)


def ready(port: int = 0) -> None:
    """Says that everything is prepared."""
    print(port or "ready", flush=True)


def go() -> None:
    """Says so, and waits for the start. Blocks."""
    ready()
    assert sys.stdin.readline() == "go\n"
