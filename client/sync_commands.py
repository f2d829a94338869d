"""The commands of `educonnect sync`: each a function of a desk (session, store, a place to say things) and what was typed.

    local ── status, queue, list, get, conflicts, scope ─▶ the store alone
    kept ─── put, delete, resolve, claim, reopen, retry, scope ─▶ the store; sent at once where there is a server, else later
    remote ─ versions, restore, set-back, lists that only the server has ─▶ says so where there is none

Invariant: what a command says it has kept is in the store when it ends, whatever the network does.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import trio
from msgspec import Struct

from client import sync_view as view
from client.errors import MutationRefused
from client.pending import Pending
from client.session import Session
from client.sqlite_store import SqliteStore
from client.store import read_change
from client.sync_fields import Mistake, entity_named, field_named, parse_fields, read_text, write_text
from client.three_way import has_marks, marked
from client.words import refusal
from protocol.codec import decode_operation
from protocol.entities import TABLE, Declaration, Fields, Words, read_fields
from protocol.frames import Conflict
from protocol.operations import Held
from protocol.values import Choice, ConflictState

DONE, FAILED, WAITS = 0, 1, 3
"""Exit statuses; 2 is for what was typed wrongly. WAITS: it is kept here, and the server has not decided it yet."""
KEYS = 2**40
"""Keys that a device chooses at random: two of a thousand records meet once in two million communities."""


class Desk(Struct, frozen=True):
    """What a command works with. `online`: there is a socket; `wait_s`: how long an outcome is waited for."""

    session: Session
    store: SqliteStore
    say: Callable[[str], None]
    online: bool
    wait_s: float

    def tell(self, lines: list[str]) -> int:
        """Says all these."""
        for line in lines:
            self.say(line)
        return DONE


# Status


async def status(desk: Desk, _: argparse.Namespace) -> int:
    return desk.tell(view.status_lines(desk.session.sync_status, desk.store.sizes(), desk.session.keeping.choice))


async def queue(desk: Desk, _: argparse.Namespace) -> int:
    return desk.tell(view.queue_lines(desk.store.load().mutations, desk.session.unapplied(), desk.session.sync_streams))


async def now(desk: Desk, options: argparse.Namespace) -> int:
    """Sends and fetches everything, telling how far it is."""
    with trio.move_on_after(desk.wait_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_progress, desk)
            await desk.session.synced()
            nursery.cancel_scope.cancel()
        return await status(desk, options)
    desk.say(f"Not everything came through within {desk.wait_s:.0f} s; what did is kept. Run it again to go on.")
    await status(desk, options)
    return WAITS


async def _tell_progress(desk: Desk) -> None:
    """Says what is less than it was: both numbers grow while it is found out what there is, and go up and down as sockets are cut."""
    told = view.Progress()
    async for one in desk.session.sync_statuses():
        line = told.line(one.pending, len(one.behind))
        if line:
            desk.say(line)


# Records


async def put(desk: Desk, options: argparse.Namespace) -> int:
    declaration = entity_named(options.entity)
    words = list(options.words)
    key = _key(declaration, words.pop(0) if words and "=" not in words[0] else "", may_be_new=True)
    fields = parse_fields(declaration, words)
    stream = desk.session.sync_streams.find(declaration.entity, options.community)
    pending = desk.session.put(stream, declaration.entity, key, fields)
    desk.say(f"{declaration.entity.name.lower()} {key}")
    return await await_outcome(desk, pending)


async def delete(desk: Desk, options: argparse.Namespace) -> int:
    declaration, stream, key = _record(desk, options)
    return await await_outcome(desk, desk.session.put(stream, declaration.entity, key, {}, gone=True))


async def get(desk: Desk, options: argparse.Namespace) -> int:
    declaration, stream, key = _record(desk, options)
    record = desk.session.records.view(stream, declaration.entity, key)
    desk.tell(view.record_lines(record, desk.session.sync_streams))
    return DONE if record.exists else FAILED


async def list_records(desk: Desk, options: argparse.Namespace) -> int:
    declaration = entity_named(options.entity)
    stream = desk.session.sync_streams.find(declaration.entity, options.community)
    records = desk.session.records.list(stream, declaration.entity)
    for record in records:
        desk.tell(view.record_lines(record, desk.session.sync_streams))
    if not records:
        desk.say("There are none on this device.")
    return DONE


async def versions(desk: Desk, options: argparse.Namespace) -> int:
    declaration, stream, key = _record(desk, options)
    page = await desk.session.versions(stream, declaration.entity, key, before=options.before)
    desk.tell(view.version_lines(declaration.entity, page.versions))
    if not page.versions:
        desk.say("No other value of it is kept.")
    if page.more:
        desk.say(f"There are older ones: --before {page.versions[-1].place}")
    return DONE


async def restore(desk: Desk, options: argparse.Namespace) -> int:
    declaration, stream, key = _record(desk, options)
    page = await desk.session.versions(stream, declaration.entity, key, before=options.place + 1, limit=1)
    if not page.versions or page.versions[0].place != options.place:
        raise Mistake(f"No value with the number {options.place} is kept of it; educonnect sync versions lists them.")
    return await await_outcome(desk, desk.session.restore(stream, declaration.entity, key, page.versions[0]))


async def set_back(desk: Desk, options: argparse.Namespace) -> int:
    return await await_outcome(desk, desk.session.set_back(options.community, options.user, options.lesson, options.percent), bare=True)


# Conflicts


async def list_conflicts(desk: Desk, options: argparse.Namespace) -> int:
    conflicts = desk.session.conflicts()
    if options.all:
        conflicts, after = (), 0
        while True:
            page = await desk.session.all_conflicts(after=after)
            conflicts += page.conflicts
            if not page.more or not page.conflicts:
                break
            after = page.conflicts[-1].conflict
    for conflict in conflicts:
        desk.say(view.conflict_line(conflict, desk.session.sync_streams))
    if not conflicts:
        desk.say("No conflict waits for you.")
    return DONE


async def show_conflict(desk: Desk, options: argparse.Namespace) -> int:
    conflict = await _conflict(desk, options.conflict)
    desk.tell(view.conflict_lines(conflict, desk.session.sync_streams))
    if options.write:
        texts = [one for one in view.merge_of(conflict) if one.pieces]
        if len(texts) != 1:
            raise Mistake("Only one text that both changed can be written to a file, and this conflict is not about one.")
        text = marked(texts[0].pieces)
        write_text(options.write, text)
        then = "When its marks are gone" if has_marks(text) else "When it reads well"
        desk.say(
            f"{texts[0].name} is in {options.write}. {then}: educonnect sync conflicts resolve {conflict.conflict} --merged {options.write}"
        )
    return DONE


async def claim(desk: Desk, options: argparse.Namespace) -> int:
    return await await_outcome(desk, desk.session.claim(options.conflict, not options.back), plain=True, bare=True)


async def reopen(desk: Desk, options: argparse.Namespace) -> int:
    return await await_outcome(desk, desk.session.reopen(options.conflict), plain=True, bare=True)


async def resolve(desk: Desk, options: argparse.Namespace) -> int:
    conflict = await _conflict(desk, options.conflict)
    if conflict.state in (ConflictState.RESOLVED, ConflictState.AUTOMATIC):
        raise Mistake(f"It is decided already. To decide it anew, first: educonnect sync conflicts reopen {conflict.conflict}")
    if options.merged is not None:
        return await await_outcome(desk, desk.session.resolve(conflict, Choice.MERGED, merged_fields(conflict, options.merged)))
    return await await_outcome(desk, desk.session.resolve(conflict, Choice.MINE if options.mine else Choice.THEIRS))


def merged_fields(conflict: Conflict, typed: list[str]) -> Fields:
    """What was typed, and for the other fields what loses nothing of either side. Raises `Mistake` where that leaves a choice."""
    declaration = TABLE.get(conflict.entity)
    if declaration is None:
        raise Mistake("This conflict is about a kind of record that this program is too old for.")
    views = {one.number: one for one in view.merge_of(conflict)}
    texts = [one for one in views.values() if not one.same and isinstance(field_named(declaration, str(one.number)).kind, Words)]
    # A file without a name is for the text that `show --write` would write; a heading that one side changed needs no file.
    texts = [one for one in texts if one.pieces] or texts
    given: Fields = {}
    for one in typed:
        if "=" in one and not Path(one).is_file():
            given |= parse_fields(declaration, [one])
        elif len(texts) == 1:
            given[texts[0].number] = read_text(one)
        else:
            raise Mistake(f"Say which field {one} is for: name=@{one}")
    for number, value in given.items():
        if isinstance(value, str) and has_marks(value):
            raise Mistake(f"{views[number].name if number in views else number} still has marks in it. Choose between them first.")
    open_ones = [one.name for one in views.values() if one.number not in given and not one.same and one.proposal is None]
    if open_ones:
        raise Mistake(f"Say what is to become of {', '.join(open_ones)}: name=value, or name=@FILE.")
    proposed = {one.number: one.proposal for one in views.values() if not one.same and one.proposal is not None}
    merged: Fields = {**proposed, **given}
    if not merged:
        raise Mistake("There is nothing to merge: decide for --mine or --theirs.")
    return merged


async def _conflict(desk: Desk, number: int) -> Conflict:
    """As this device last heard of it, for that is what was shown to the person who decides; a decided one from the server."""
    found = next((one for one in desk.session.conflicts() if one.conflict == number), None)
    if found is None and desk.online:
        found = await desk.session.conflict(number)
    if found is None:
        where = "" if desk.online else " on this device. Decided ones are at the server only (--fresh)"
        raise Mistake(f"There is no conflict {number}{where or ' that concerns you'}.")
    return found


# What was refused


async def list_unapplied(desk: Desk, options: argparse.Namespace) -> int:
    if options.server or options.space:
        page = await desk.session.kept_unapplied(space=options.space, after=options.after)
        lines = view.kept_lines(page.items, desk.session.sync_streams)
        if page.more:
            lines.append(f"There are more: --after {page.items[-1].item}")
    else:
        lines = view.unapplied_lines(desk.session.unapplied(), desk.session.sync_streams)
    return desk.tell(lines or ["Nothing was refused."])


async def retry(desk: Desk, options: argparse.Namespace) -> int:
    if options.server:
        return await await_outcome(desk, desk.session.release(options.item))
    operation = _refused(desk, options.item)
    change = read_change(operation)
    if change is not None:
        # Anew, on what is known now: as it was, it would be refused or merged as it was.
        pending = desk.session.put(change.stream, change.entity, change.key, read_fields(change.fields), change.gone)
    else:
        pending = desk.session.submit(decode_operation(operation))
    desk.session.forget_unapplied(options.item)
    return await await_outcome(desk, pending, plain=change is None)


async def discard(desk: Desk, options: argparse.Namespace) -> int:
    if options.server:
        return await await_outcome(desk, desk.session.discard(options.item), plain=True)
    _refused(desk, options.item)
    desk.session.forget_unapplied(options.item)
    desk.say("It is listed here no longer.")
    return DONE


def _refused(desk: Desk, key: int) -> bytes:
    found = next((one.operation for one in desk.session.unapplied() if one.key == key), None)
    if found is None:
        raise Mistake(f"Nothing with the number {key} was refused; educonnect sync unapplied list lists what was (--server: there).")
    return found


# Scope


async def show_scope(desk: Desk, _: argparse.Namespace) -> int:
    keeping = desk.session.keeping
    return desk.tell(view.scope_lines(keeping.plan(), keeping.choice, desk.store.sizes(), desk.session.sync_streams))


async def set_scope(desk: Desk, options: argparse.Namespace) -> int:
    known = {one.stream for one in desk.session.sync_streams.all()}
    unknown = [stream for stream in options.streams if stream not in known]
    if unknown:
        raise Mistake(f"There is no stream {unknown[0]} for you here; educonnect sync scope show lists them.")
    return await await_outcome(desk, desk.session.hold(options.streams, desk.session.keeping.choice.quota_bytes), plain=True)


async def set_quota(desk: Desk, options: argparse.Namespace) -> int:
    chosen = desk.session.keeping.choice.chosen
    streams = chosen if chosen is not None else tuple(Held(one.stream) for one in desk.session.sync_streams.all())
    return await await_outcome(desk, desk.session.hold(streams, options.bytes), plain=True)


# Shared


def _record(desk: Desk, options: argparse.Namespace) -> tuple[Declaration, int, int]:
    declaration = entity_named(options.entity)
    key = _key(declaration, options.key or "", may_be_new=False)
    return declaration, desk.session.sync_streams.find(declaration.entity, options.community), key


def _key(declaration: Declaration, typed: str, may_be_new: bool) -> int:
    if declaration.single and not typed:
        return 1
    if may_be_new and (typed == "new" or not typed) and "random" in declaration.key:
        return secrets.randbelow(KEYS) + 1
    if not typed.isdecimal() or not int(typed):
        raise Mistake(f"Say which {declaration.entity.name.lower()}: its key is a number ({declaration.key}).")
    return int(typed)


async def is_reached(session: Session) -> bool:
    """Waits for the first attempt: False if nobody answered. What is kept need not wait for more; a session that ended says why itself, and
    a server that says to come back (to a copied store, as another device) was reached."""
    async for status in session.statuses():
        if status.state != "connecting":
            return status.state != "waiting" or status.code != 0
    return True


async def await_outcome(desk: Desk, pending: Pending, plain: bool = False, bare: bool = False) -> int:
    """Waits for the outcome where there is a connection. `plain`: its value is no outcome of a record. `bare`: nobody wrote anything in it,
    so that a refusal that was read leaves nothing to look after."""
    if desk.online:
        with trio.move_on_after(desk.wait_s):
            try:
                if not pending.decided and not await is_reached(desk.session):
                    desk.say("The server cannot be reached just now.")
                elif plain:
                    await pending.wait()
                    desk.say("Done.")
                    return DONE
                else:
                    desk.say(view.outcome_line(*await pending.outcome()))
                    return DONE
            except MutationRefused as refused:
                desk.say(refusal("It", refused))
                if bare:
                    desk.session.forget_unapplied(pending.key)
                    return FAILED
                desk.say(f"What you wrote is kept: educonnect sync unapplied list (number {pending.key}).")
                return FAILED
    desk.say("It is kept on this device and sent when there is a connection (educonnect sync now).")
    return WAITS


async def await_outcomes(desk: Desk, pendings: Sequence[Pending]) -> int:
    """The same of several that belong together; a sentence that is true of each is said once."""
    said: list[str] = []

    def once(line: str) -> None:
        if line not in said:
            said.append(line)
            desk.say(line)

    quiet = msgspec.structs.replace(desk, say=once)
    return max([await await_outcome(quiet, pending) for pending in pendings], default=DONE)
