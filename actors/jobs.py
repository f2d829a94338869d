"""Jobs: work that a transaction asks for and that somebody does later, once to completion.

    transaction ─enqueue─▶ row ─claim (SKIP LOCKED, a lease)─▶ job actor ─▶ done: the row goes, in the transaction of the effect
                                        ▲                          ╰─ failed: again later, ever more slowly; at last a dead letter
                                        ╰── lease over: its worker was killed

Invariant: a job's effect in the database and the end of its row are one transaction, so it is never lost and never done twice; what it does
to the world outside (mail, push) is done at least once, and carries the job's effect key, by which a repeat is recognised.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

KIND_LENGTH_MAX = 60
KEY_LENGTH_MAX = 200
PAYLOAD_BYTES_MAX = 64 * 1024


class Order(Struct, frozen=True):
    """Asks for one job. `payload` is the msgpack bytes of the kind's own struct.

    `key`: while a job of this kind with this key is waiting, another order changes nothing. `priority`: lower goes first. `deadline_s`: not
    begun within this time it is a dead letter; 0: whenever.
    """

    kind: Annotated[str, Meta(max_length=KIND_LENGTH_MAX)]
    payload: Raw
    delay_s: float = 0.0
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    key: Annotated[str, Meta(max_length=KEY_LENGTH_MAX)] = ""
    deadline_s: float = 0.0
    space: int = 0
    """The community on whose behalf it is done; 0: none's."""
