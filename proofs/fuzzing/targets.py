"""The parts under fire, all of them.

    reader · head · address     bytes before they are messages     wire_targets.py
    connection                  a socket's transport               connection_target.py
    codec · chunk · sync        messages                           frame_targets.py
    json · tokens               the HTTP doors                     door_targets.py
    session                     a socket's whole life              session_target.py

Each takes bytes and says what it did with them; whatever else comes out of it is a finding.
"""

from __future__ import annotations

from proofs.fuzzing.connection_target import ConnectionTarget
from proofs.fuzzing.door_targets import JsonTarget, TokenTarget
from proofs.fuzzing.frame_targets import ChunkTarget, CodecTarget, SyncTarget
from proofs.fuzzing.session_target import SessionTarget
from proofs.fuzzing.target import Target
from proofs.fuzzing.wire_targets import AddressTarget, HeadTarget, ReaderTarget

KINDS: tuple[type[Target], ...] = (
    ReaderTarget,
    HeadTarget,
    AddressTarget,
    ConnectionTarget,
    CodecTarget,
    ChunkTarget,
    SyncTarget,
    JsonTarget,
    TokenTarget,
    SessionTarget,
)


def all_targets() -> list[Target]:
    """One of each, fresh."""
    return [kind() for kind in KINDS]
