"""How many bytes a day's changes are as messages of the protocol, beside the same as JSON.

    deeds ─▶ Change ─▶ chunks, as the client packs them ─▶ bytes          outcomes ─▶ DoneRun for each chunk ─▶ bytes

What a message travels in is not counted: six bytes of WebSocket, some twenty of TLS, forty of IP and TCP for each packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench.figures import Goal, Measured
from bench.sync_link_day import Deed, make_day, make_progress
from bench.sync_link_json import body_of
from bench.sync_link_ours import change_of
from client.ledger import Entry
from client.parcels import weigh, wrap
from protocol.codec import encode
from protocol.frames import CHUNK_BYTES_GOAL, DoneRun
from protocol.merge import Outcome, outcome_value
from protocol.values import StreamKind

STREAMS: Final = {int(kind): 40_300 + int(kind) for kind in StreamKind}
"""Numbers as they are after a while."""
FIRST: Final = 1_234
"""Of the mutations; likewise."""
ONE_GOAL: Final = Goal(figure_max=30)
MANY_GOAL: Final = Goal(figure_max=2_600)


def measure_bytes(say: Callable[[str], None]) -> list[Measured]:
    """A few sizes."""
    progress = make_progress(200)
    day = make_day(1).deeds
    rows = (
        ("1 progress mutation", progress[:1], ONE_GOAL),
        ("200 progress mutations", progress, MANY_GOAL),
        ("a mixed day's 200", day, None),
    )
    measured = []
    for name, deeds, goal in rows:
        chunks = chunks_of(deeds)
        up, down, theirs = sum(map(len, chunks)), sum(map(len, outcomes_of(chunks, deeds))), len(body_of(deeds))
        say(f"sync_link: {name}: {up} B in {len(chunks)} chunks, outcomes {down} B; as JSON {theirs} B")
        measured.append(Measured(f"sync: bytes of {name}", up, "B", "JSON", theirs, up / theirs, goal))
        measured.append(Measured(f"sync: bytes of {name}, outcomes", down, "B"))
    return measured


def chunks_of(deeds: Sequence[Deed]) -> list[bytes]:
    """The frames that carry them."""
    frames: list[bytes] = []
    together: list[Entry] = []
    weight = 0
    for number, deed in enumerate(deeds, FIRST):
        entry = Entry(number, encode(change_of(deed, STREAMS)), number)
        more = weigh(entry, together[-1] if together else None)
        if together and weight + more > CHUNK_BYTES_GOAL:
            frames += wrap(together)
            together, weight = [], 0
            more = weigh(entry, None)
        together.append(entry)
        weight += more
    return frames + wrap(together)


def outcomes_of(chunks: Sequence[bytes], deeds: Sequence[Deed]) -> list[bytes]:
    """What the server answers where everything is applied: each record's version is the next event of its stream."""
    each = -(-len(deeds) // len(chunks))
    values = [outcome_value(Outcome.APPLIED, 300 + n) for n in range(len(deeds))]
    return [encode(DoneRun(FIRST + n, tuple(values[n : n + each]))) for n in range(0, len(deeds), each)]
