"""The promises, looked at when the world has been kind for a while: everybody is there, every copy is equal, nothing acknowledged is lost.

missing(device) ─▶ "" or what is not as it should be yet        check ─▶ Violation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from client.positions import Phase
from proofs.simulation.database import Database
from proofs.simulation.device import SimulatedDevice
from proofs.simulation.life import Life
from proofs.simulation.rows import EPOCH
from proofs.simulation.world import Violation
from protocol.client_session import State
from protocol.codec import TOMBSTONE, decode_body, encode
from protocol.entities import SCHEMA
from protocol.events import AnyBody, Deleted, Edited, Posted, Redacted, Said
from protocol.operations import Change, Post, Say


def missing(device: SimulatedDevice, database: Database, life: Life) -> tuple[str, int]:
    """What is not yet as it should be, in words, and the stream that it is about (0: none). Whoever is rightly over has nothing to be."""
    name = device.name
    if device.stopped:
        return ("" if device.ended else f"{name} goes on although its owner ended it"), 0
    if device.row.revoked:
        return ("" if device.ended else f"{name} goes on although its session was ended"), 0
    if device.ended and (device.notebook.copied or device.excused or device.was_refused_for_spoiled_tokens or device.must_be_updated):
        return "", 0
    if not device.online or device.session.state is State.DRAINING:
        return f"{name} is not online but {device.session.state.value}: {device.session.end}", 0
    if len(device.notebook.ledger):
        return f"{name} has {len(device.notebook.ledger)} mutations without an outcome", 0
    if device.forgotten():
        return f"{name}: {device.forgotten()}", 0
    for stream in life.readable(device.user):
        if device.positions.phase(stream) is not Phase.LIVE:
            return f"{name} does not follow stream {stream} live", stream
        if device.positions.cursor(stream) != len(database.rows(stream)):
            return f"{name} is at {device.positions.cursor(stream)} of {len(database.rows(stream))} in stream {stream}", stream
    return "", 0


def check(devices: Sequence[SimulatedDevice], database: Database, life: Life, written: Mapping[int, int], after: str) -> None:
    """Everything. `written`: what devices whose session was ended had written then; `after`: when this is, in words. Raises `Violation`."""
    for id, number in written.items():
        if database.devices[id].last_number > number:
            raise Violation(f"device {id} wrote mutation {number + 1} after its session was ended", device=id)
    for device in devices:
        what, stream = missing(device, database, life)
        if what:
            raise Violation(f"{after} {what}", device=device.id, stream=stream)
        for stream in life.readable(device.user) if not device.ended else ():
            _compare(device, stream, database)
        _check_acknowledged(device, database)
    shared = frozenset().union(*(device.notebook.shared for device in devices)) if database.tables.epoch != EPOCH else frozenset()
    _check_once(database, shared)


def _compare(device: SimulatedDevice, stream: int, database: Database) -> None:
    """Snapshot + events = fresh snapshot: what the device folded equals what somebody sees who comes now."""
    copy = device.notebook.copies.get(stream, {})
    begins = device.notebook.begins.get(stream, 0)
    whole = device.habits.schema == SCHEMA
    mine = fold([(seq, *copy[seq]) for seq in sorted(copy)], whole)
    rows = database.rows(stream)[begins:]
    fresh = fold([(row.seq, row.author, read(row.body)) for row in rows], whole)
    if sorted(copy) != [row.seq for row in rows]:
        raise Violation(f"{device.name} has a gap in stream {stream}", device=device.id, stream=stream)
    if mine != fresh:
        differing = [seq for seq in sorted(fresh) if mine.get(seq) != fresh[seq]]
        what = f"differently at {differing[:5]}: {mine.get(differing[0])} for {fresh[differing[0]]}"
        raise Violation(f"{device.name} sees stream {stream} {what}", device=device.id, stream=stream)


def _check_acknowledged(device: SimulatedDevice, database: Database) -> None:
    for operation, value in device.notebook.acknowledged:
        if isinstance(operation, Say | Post):
            rows = database.rows(operation.stream)
            trouble = ""
            if not 0 < value <= len(rows) or rows[value - 1].author != device.user:
                trouble = "is not there"
            else:
                body = read(rows[value - 1].body)
                if isinstance(body, Said) and body.text != operation.text:
                    trouble = f"is {body.text!r}"
            if trouble:
                what = f"{operation.text!r} was acknowledged as {value} and {trouble}"
                raise Violation(f"{device.name}: {what}", device=device.id, stream=operation.stream)
        elif isinstance(operation, Change) and operation.stream not in database.streams:
            raise Violation(f"{device.name}: a change of stream {operation.stream} was acknowledged, which is not there", device=device.id)


def _check_once(database: Database, shared: frozenset[bytes]) -> None:
    """Every text was put into a stream at most once, and exactly once if it was acknowledged; but for what two stores asked for."""
    seen: dict[str, int] = {}
    for stream in database.streams.values():
        for row in stream.log:
            body = read(row.body)
            if isinstance(body, Said):
                if body.text in seen and encode(Say(stream.id, body.text)) not in shared:
                    raise Violation(
                        f"{body.text!r} stands in the log more than once, in {seen[body.text]} and {stream.id}", stream=stream.id
                    )
                seen[body.text] = stream.id


def read(raw: bytes) -> AnyBody:
    """A stored event's body."""
    if raw == TOMBSTONE:
        return Redacted()
    body = decode_body(raw)
    assert not type(body).__name__.startswith("Unknown")
    return body  # type: ignore[return-value]


def fold(events: list[tuple[int, int, AnyBody]], whole: bool) -> dict[int, tuple[int, object]]:
    """A stream's present texts: by number, the author and the text ("" for what is taken back). Of other events `whole` says whether all of
    them counts: a client of an older schema is told of records in its own fields."""
    state: dict[int, tuple[int, object]] = {}
    for seq, author, body in events:
        match body:
            case Said() | Posted():
                state[seq] = (author, body.text)
            case Redacted():
                state[seq] = (author, "")
            case Edited():
                state[seq] = (author, "")
                if body.target in state and state[body.target][1]:
                    state[body.target] = (state[body.target][0], body.text)
            case Deleted():
                state[seq] = (author, "deleted")
                if body.target in state:
                    state[body.target] = (state[body.target][0], "")
            case _:
                state[seq] = (author, body if whole else type(body).__name__)
    return state
