"""`educonnect space`, `person` and `erasures`: whose data it is, from a terminal beside the database.

    space export ID -o FILE      space import FILE --owner NAME [--map people.json] [--region LABEL]
    space region ID [REGION]     space erase ID --yes
    person export NAME -o FILE   person erase NAME --yes
    erasures                     what was erased, and how far it is
    erasures again               after a backup was put back: erase once more what the ledger names

What is erased here is carried out at once, without a job.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import trio

from actors.sovereignty import Kind
from actors.storage import Fact
from actors.storage_port import StorageError
from persistence.bridge import Bridge, BridgeOptions
from persistence.sovereignty.archive import ArchiveRefused, Reader, Writer
from persistence.sovereignty.arriving import import_space
from persistence.sovereignty.erasures import Erasures
from persistence.sovereignty.leaving import NoSuchCommunity, export_space
from persistence.sovereignty.ledger import Ledger, LedgerUnusable
from persistence.sovereignty.person_export import export_person
from supervisors.settings import Settings

Say = Callable[[str], None]
Complain = Callable[[object], None]
AddConfig = Callable[[argparse.ArgumentParser], None]

LONG_S: Final = 3600.0
CALL_S: Final = 30.0


class Nobody:
    """A herald to whom it is no news: gateways read what was committed here from the control stream and the heads."""

    def committed(self, facts: Sequence[Fact]) -> None:
        return None


def add_space(command: argparse.ArgumentParser, add_config: AddConfig) -> None:
    """Adds what `educonnect space` takes."""
    add_config(command)
    commands = command.add_subparsers(required=True, metavar="what")
    export = _add(commands, "export", _export_space, "write a community's archive")
    export.add_argument("space", type=int, metavar="ID")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a file that is not there yet")
    bring = _add(commands, "import", _import_space, "bring in a community out of an archive")
    bring.add_argument("file", type=Path)
    bring.add_argument("--owner", required=True, metavar="NAME", help="the account here that owns it from now on")
    bring.add_argument("--map", type=Path, metavar="FILE", help='JSON: {"number in the archive": "name of the account here"}')
    bring.add_argument("--region", default=None, metavar="LABEL", help="its region here, instead of the archive's; '' for anywhere")
    region = _add(commands, "region", _region, "say, or set, where a community's data has to be kept")
    region.add_argument("space", type=int, metavar="ID")
    region.add_argument("region", nargs="?", help="a label such as `ke`; '' for anywhere")
    erase = _add(commands, "erase", partial(_erase, Kind.COMMUNITY), "erase a community, with everything in it, for good")
    erase.add_argument("subject", metavar="ID")
    erase.add_argument("--yes", action="store_true", help="really")


def add_person(command: argparse.ArgumentParser, add_config: AddConfig) -> None:
    """Adds what `educonnect person` takes."""
    add_config(command)
    commands = command.add_subparsers(required=True, metavar="what")
    export = _add(commands, "export", _export_person, "write all that is kept about a person")
    export.add_argument("name")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a file that is not there yet")
    erase = _add(commands, "erase", partial(_erase, Kind.PERSON), "erase a person, and what they wrote, for good")
    erase.add_argument("subject", metavar="NAME")
    erase.add_argument("--yes", action="store_true", help="really")


def add_erasures(command: argparse.ArgumentParser, add_config: AddConfig) -> None:
    """Adds what `educonnect erasures` takes."""
    add_config(command)
    command.set_defaults(ask=_list)
    commands = command.add_subparsers(metavar="what")
    _add(commands, "again", _again, "after a backup was put back: erase once more what the ledger names")


def _add(commands: Any, name: str, ask: Callable[..., Awaitable[int]], help: str) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    sub.set_defaults(ask=ask)
    sub.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return sub


def run_sovereignty(parsed: argparse.Namespace, settings: Settings, say: Say, complain: Complain) -> int:
    """Carries out one of them; the exit status."""

    async def ask() -> int:
        bridge = Bridge(BridgeOptions(settings.database.dsn.reveal(), connections_max=2))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            try:
                status: int = await parsed.ask(bridge, settings, parsed, say, complain)
            except StorageError as error:
                complain(f"the database cannot be asked: {error}")
                status = 1
            except (ArchiveRefused, NoSuchCommunity, LedgerUnusable) as error:
                complain(error)
                status = 1
            nursery.cancel_scope.cancel()
        return status

    return trio.run(ask)


async def _export_space(bridge: Bridge, settings: Settings, parsed: argparse.Namespace, say: Say, complain: Complain) -> int:
    return await _export(bridge, parsed.output, partial(export_space, space=parsed.space), say, complain)


async def _export_person(bridge: Bridge, settings: Settings, parsed: argparse.Namespace, say: Say, complain: Complain) -> int:
    user = await bridge.run(partial(_find_account, name=parsed.name), deadline_s=CALL_S, readonly=True)
    if user is None:
        complain(f"there is no account {parsed.name!r}")
        return 1
    return await _export(bridge, parsed.output, partial(export_person, user=user), say, complain)


async def _export(bridge: Bridge, path: Path, export: Callable[..., Awaitable[Any]], say: Say, complain: Complain) -> int:
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("xb") as file:

            async def work(tx: asyncpg.Connection) -> Any:
                file.seek(0)
                file.truncate()
                writer = Writer(file)
                try:
                    return await export(tx, writer=writer)
                finally:
                    writer.abandon()  # before the file is closed under it

            manifest = await bridge.run(work, deadline_s=LONG_S, readonly=True, isolation="snapshot")
            size = file.seek(0, 2)
        os.link(unfinished, path)  # fails where something is there already: nothing is overwritten
    except OSError as error:
        complain(f"{path} cannot be written: {error.strerror or error}")
        return 1
    finally:
        unfinished.unlink(missing_ok=True)
    for name, entry in manifest.files.items():
        say(f"{entry.rows:>9,} {name}")
    say(f"written to {path}, {size:,} bytes")
    return 0


async def _import_space(bridge: Bridge, settings: Settings, parsed: argparse.Namespace, say: Say, complain: Complain) -> int:
    names: dict[str, str] = {}
    if parsed.map is not None:
        try:
            names = msgspec.json.decode(parsed.map.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError) as error:
            complain(f'{parsed.map}: {error}; expected: JSON like {{"17": "ada"}}')
            return 1
    accounts: dict[str, int | None] = {}
    for name in {parsed.owner, *names.values()}:
        accounts[name] = await bridge.run(partial(_find_account, name=name), deadline_s=CALL_S, readonly=True)
    if missing := sorted(name for name, user in accounts.items() if user is None):
        complain(f"there is no account {', '.join(missing)}")
        return 1
    known = {int(number): user for number, name in names.items() if number.isdecimal() and (user := accounts[name]) is not None}
    with Reader(parsed.file) as archive:
        owner = accounts[parsed.owner]
        assert owner is not None
        work = partial(import_space, archive=archive, owner=owner, known=known, regions=settings.sovereignty.regions, region=parsed.region)
        imported = await bridge.run(work, deadline_s=LONG_S)
    say(f"community {imported.space}: {imported.rows:,} rows, {len(imported.people)} people, {imported.made} of them without a log-in here")
    return 0


async def _region(bridge: Bridge, settings: Settings, parsed: argparse.Namespace, say: Say, complain: Complain) -> int:
    regions = settings.sovereignty.regions
    if parsed.region and regions and parsed.region not in regions:
        complain(f"this installation keeps data in {', '.join(regions)} (sovereignty.regions), not in {parsed.region!r}")
        return 1

    async def work(tx: asyncpg.Connection) -> str | None:
        if parsed.region is not None:
            await tx.fetchval("select place_space($1, $2)", parsed.space, parsed.region)
        region: str | None = await tx.fetchval("select region from spaces where id = $1 and kind = 1", parsed.space)
        return region

    region = await bridge.run(work, deadline_s=CALL_S)
    if region is None:
        complain(f"there is no community {parsed.space}")
        return 1
    say(region or "anywhere")
    return 0


async def _erase(kind: Kind, bridge: Bridge, settings: Settings, parsed: argparse.Namespace, say: Say, complain: Complain) -> int:
    if not parsed.yes:
        complain(f"this erases {kind.name.lower()} {parsed.subject} for good; say it again with --yes")
        return 2
    id: int | None
    if kind is Kind.PERSON:
        id = await bridge.run(partial(_find_account, name=parsed.subject), deadline_s=CALL_S, readonly=True)
    else:
        id = int(parsed.subject) if parsed.subject.isdecimal() else None
    erasures = _erasures(bridge, settings)
    if id is None or await erasures.ask(kind, id, 0) is None:
        complain(f"there is no {kind.name.lower()} {parsed.subject}")
        return 1
    return await _carry_out(bridge, erasures, say)


async def _again(bridge: Bridge, settings: Settings, parsed: argparse.Namespace, say: Say, complain: Complain) -> int:
    if not settings.sovereignty.ledger_file:
        complain("sovereignty.ledger_file names no file; without one nothing says what was erased")
        return 1
    erasures = _erasures(bridge, settings)
    for subject in await erasures.again():
        say(f"{subject.kind.name.lower()} {subject.id} was there again")
    return await _carry_out(bridge, erasures, say)


async def _carry_out(bridge: Bridge, erasures: Erasures, say: Say) -> int:
    async def open_(tx: asyncpg.Connection) -> list[int]:
        return [row["id"] for row in await tx.fetch("select id from erasures where done_at is null order by id")]

    while ids := await bridge.run(open_, deadline_s=CALL_S, readonly=True):
        rows = await erasures.carry_out(ids[0])
        say(f"erasure {ids[0]}: {rows:,} rows")
    return 0


async def _list(bridge: Bridge, settings: Settings, parsed: argparse.Namespace, say: Say, complain: Complain) -> int:
    async def work(tx: asyncpg.Connection) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await tx.fetch("select * from erasures order by id desc limit 100")
        return rows

    rows = await bridge.run(work, deadline_s=CALL_S, readonly=True)
    for row in rows:
        state = f"done {row['done_at']:%Y-%m-%d %H:%M}" if row["done_at"] else f"at {row['step'] or 'its beginning'}"
        who = f"{Kind(row['kind']).name.lower():<9} {row['subject']:>9}"
        say(f"{row['id']:>6} {who}  asked {row['asked_at']:%Y-%m-%d %H:%M}  {row['rows']:>9,} rows  {state}")
    if not rows:
        say("nothing was ever erased")
    return 0


def _erasures(bridge: Bridge, settings: Settings) -> Erasures:
    path = settings.sovereignty.ledger_file
    return Erasures(bridge, Nobody(), Ledger(Path(path)) if path else None)


async def _find_account(tx: asyncpg.Connection, name: str) -> int | None:
    user: int | None = await tx.fetchval("select id from accounts where name = $1::citext and disabled_at is null", name)
    return user
