"""What must hold once everybody has been online: the promises of sync, each checked on its own.

Raises `Violation` with what is wrong and where.
"""

from __future__ import annotations

from actors.storage import ListSpaces, SpaceList
from proofs.simulation.world import Violation
from proofs.syncing.device import Device
from proofs.syncing.ledger import Word, found_in, identify, words_of
from proofs.syncing.world import World
from protocol.entities import RECORD_KINDS, TABLE, Entity, Fields


def check(world: World) -> None:
    """All of them."""
    for device in world.devices:
        _nothing_waits(device)
        _holds_what_it_may(world, device)
        _agrees(world, device)
    _each_has_one_outcome(world)
    _nothing_is_unreachable(world)


def readable(world: World, user: int) -> list[int]:
    """The streams of records that somebody may read now."""
    listed = world.database.query(ListSpaces(user), world.now)
    assert isinstance(listed, SpaceList)
    return [stream.stream for space in listed.spaces for stream in space.streams if stream.kind in RECORD_KINDS]


def _nothing_waits(device: Device) -> None:
    waiting = device.store.load().mutations
    if waiting:
        raise Violation(f"device {device.device}: {len(waiting)} mutations have no outcome, the first is {waiting[0]}")


def _holds_what_it_may(world: World, device: Device) -> None:
    may = set(readable(world, device.user))
    held = {size.stream for size in device.store.sizes() if size.records}
    listed = {conflict.stream for conflict in device.exchange.conflicts.listed}
    if (held | listed) - may:
        raise Violation(
            f"device {device.device} of user {device.user} holds streams that are none of its business: {(held | listed) - may}"
        )


def _agrees(world: World, device: Device) -> None:
    """What a device shows of every stream is what somebody sees who comes now."""
    tables = world.database.tables
    for stream in readable(world, device.user):
        fresh: dict[tuple[int, int], tuple[int, Fields]] = {}
        for (at, entity, key), record in tables.records.items():
            if at == stream and not record.is_gone:
                fresh[entity, key] = (record.version, record.fields)
        shown: dict[tuple[int, int], tuple[int, Fields]] = {}
        for entity in Entity:
            if TABLE[entity].stream is tables.streams[stream].kind:
                views = device.exchange.replica.list(stream, entity)
                shown.update({(entity, view.key): (view.version, view.fields) for view in views})
        if shown != fresh:
            differing = {
                name: (shown.get(name), fresh.get(name)) for name in shown.keys() | fresh.keys() if shown.get(name) != fresh.get(name)
            }
            raise Violation(f"device {device.device} of user {device.user} shows stream {stream} differently, shown and true: {differing}")


def _each_has_one_outcome(world: World) -> None:
    """In the history that the database has, each mutation was decided once for each store that asked for it, and at least once.

    But one that was refused in a history that is lost is not asked for again: its device has it, with the reason. And a restore may make
    a store ask again that cannot know whether it was forgotten.
    """
    refused = {identify(kept.operation) for device in world.devices for kept in device.store.unapplied()}
    decided: dict[bytes, int] = {}
    for one in world.gateway.history:
        name = identify(one.operation)
        decided[name] = decided.get(name, 0) + 1
    for name, stores in world.ledger.stores.items():
        most = stores * (1 + world.restores)
        if not (name not in refused) <= decided.get(name, 0) <= most:
            raise Violation(f"{name.decode()} was decided {decided.get(name, 0)} times, and {stores} stores asked for it")


def _nothing_is_unreachable(world: World) -> None:
    found = found_in(world.database.tables) | world.ledger.replaced
    for device in world.devices:
        for kept in device.store.unapplied():
            found.update(words_of(kept.operation))
    lost: list[Word] = [word for word in world.ledger.entered if word not in found]
    if lost:
        raise Violation(f"entered and nowhere to be found: {lost}")
