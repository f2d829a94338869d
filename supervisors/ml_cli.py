"""`educonnect ml`: which models there are, what each is made of, which versions are in use, and what they are worth.

    ml list                                   every version, what it is used for, its deciding metric
    ml card NAME[@VERSION]                    a version's card: data, licences, metrics, files, what it is not for
    ml promote|shadow|retire NAME@VERSION     puts a version to another use; ML processes follow within seconds
    ml canary NAME@VERSION --percent 10       lets it answer a share of the keys
    ml rollback NAME                          the version that was active before
    ml train NAME                             orders a training, as the clock does
    ml audit NAME [--now]                     whether groups of people are treated alike by it: its last report
    ml evaluate NAME …                        what it is worth, beside a baseline and published figures; needs no server

What is done here is written into the audit as the system's: whoever has the machine has the database.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import trio

from actors.jobs import Order, pack
from actors.model_book import Audited, Card, Entry, State, UnknownVersion
from actors.storage_port import StorageError
from ml_actors.auditing import AUDITS
from ml_actors.evaluating import EVALUATIONS, evaluate
from ml_actors.kinds import KINDS
from ml_actors.registry import read_card, shipped_versions
from ml_actors.versions import newest
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.enqueue import enqueue
from persistence.model_audits import latest
from persistence.models import change, entries, rollback
from supervisors.job_cli import as_json, clock, table
from supervisors.ml_audit import KIND as AUDIT
from supervisors.ml_audit import Look
from supervisors.ml_rows import TRAINING
from supervisors.ml_training import KIND, Train

Say = Callable[[str], None]
Complain = Callable[[object], None]

REFUSED: Final = 1
BAD_USAGE: Final = 2
ASK_S: Final = 10.0


def add_ml(command: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Adds what `educonnect ml` takes."""
    command.set_defaults(ask=_list)
    add_config(command)
    command.add_argument("--json", action="store_true", help="as JSON")
    commands = command.add_subparsers(metavar="what")

    def add(name: str, ask: Callable[..., Awaitable[int]], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(ask=ask)
        # Given before or after the word: what was given before it is not set back.
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
        sub.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return sub

    add("list", _list, "every version, and what it is used for").add_argument("--all", action="store_true", help="with those retired")
    add("card", _card, "what there is to know of a version").add_argument("name", metavar="NAME[@VERSION]")
    for name, state, help in (
        ("promote", State.ACTIVE, "let a version answer; the one before it is retired"),
        ("shadow", State.SHADOW, "ask a version beside the active one, and compare"),
        ("retire", State.RETIRED, "use a version for nothing"),
    ):
        sub = add(name, _change, help)
        sub.set_defaults(state=state, percent=0)
        sub.add_argument("name", metavar="NAME@VERSION")
    canary = add("canary", _change, "let a version answer a share of the keys")
    canary.set_defaults(state=State.CANARY)
    canary.add_argument("name", metavar="NAME@VERSION")
    canary.add_argument("--percent", type=int, choices=range(1, 101), default=10, metavar="N", help="of the keys (1 to 100)")
    add("rollback", _rollback, "make the version active that was so before").add_argument("name", metavar="NAME")
    add("train", _train, "order a training now").add_argument("name", metavar="NAME", choices=sorted(TRAINING))
    audit = add("audit", _audit, "whether groups of people are treated alike by a model: its last report")
    audit.add_argument("name", metavar="NAME", choices=sorted(AUDITS))
    audit.add_argument("--now", action="store_true", help="order another one, as the clock does once a week")
    # Before any of this is parsed `main` takes it away: its arguments are the evaluation's own.
    commands.add_parser("evaluate", help="what a model is worth, beside baseline and published figures", add_help=False)


def run_evaluate(arguments: Sequence[str], say: Say, complain: Complain) -> int:
    """`educonnect ml evaluate NAME …`; the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        say(f"usage: educonnect ml evaluate NAME [its own arguments]\n\nNAME is one of: {', '.join(EVALUATIONS)}")
        return 0 if arguments else BAD_USAGE
    name, *rest = arguments
    if name not in EVALUATIONS:
        complain(f"{name!r} has no evaluation; there are {', '.join(EVALUATIONS)}")
        return BAD_USAGE
    return evaluate(name, rest)


def run_ml(parsed: argparse.Namespace, dsn: str, say: Say, complain: Complain) -> int:
    """Carries out one of them; the exit status. Without a database what ships is shown, and nothing can be changed."""
    if not dsn:
        if parsed.ask not in (_list, _card):
            complain("database.dsn is not set: which versions are in use is written there")
            return BAD_USAGE
        complain("database.dsn is not set (--config): this is what ships, not what is in use anywhere")
        return _show(parsed, shipped_entries(), say, complain)

    async def ask() -> int:
        bridge = Bridge(BridgeOptions(dsn, connections_max=1))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            try:
                status: int = await parsed.ask(bridge, parsed, say, complain)
            except StorageError as error:
                complain(f"the database cannot be asked: {error}")
                status = REFUSED
            except UnknownVersion as error:
                complain(error)
                status = REFUSED
            nursery.cancel_scope.cancel()
        return status

    return trio.run(ask)


def shipped_entries() -> list[Entry]:
    """What comes with the program, as it is used where no database says otherwise."""
    cards = [read_card(folder) for folder in shipped_versions().values()]
    active = {card.title for card in newest(cards).values()}
    return [Entry(card, State.ACTIVE if card.title in active else State.CANDIDATE, shipped=True) for card in cards]


async def _known(bridge: Bridge, *, retired: bool) -> list[Entry]:
    """What the database says, and what ships and was never served."""
    known = await bridge.run(partial(entries, retired=retired), deadline_s=ASK_S, readonly=True)
    names = {entry.card.name for entry in known}
    return [*known, *(entry for entry in shipped_entries() if entry.card.name not in names)]


async def _list(bridge: Bridge, parsed: Any, say: Say, complain: Complain) -> int:
    return _show(parsed, await _known(bridge, retired=getattr(parsed, "all", False)), say, complain)


async def _card(bridge: Bridge, parsed: Any, say: Say, complain: Complain) -> int:
    return _show(parsed, await _known(bridge, retired=True), say, complain)


def _show(parsed: Any, known: Sequence[Entry], say: Say, complain: Complain) -> int:
    if parsed.ask is _list:
        shown = [entry for entry in known if entry.card.name != "echo"]
        say(as_json(shown) if parsed.json else _table(shown))
        return 0
    name, _, version = parsed.name.partition("@")
    of_name = [entry for entry in known if entry.card.name == name]
    found = [entry for entry in of_name if (entry.card.version == version if version else entry.state is State.ACTIVE)]
    if not found:
        titles = ", ".join(entry.card.title for entry in of_name) or ", ".join(sorted({entry.card.name for entry in known}))
        complain(f"there is no {parsed.name}; there are {titles}")
        return REFUSED
    say(as_json(found[0]) if parsed.json else render_card(found[0]))
    return 0


def _table(known: Sequence[Entry]) -> str:
    rows = [
        (
            entry.card.title,
            _use(entry),
            entry.card.runtime,
            f"{entry.card.deciding} {entry.card.metrics[entry.card.deciding]:.3f}" if entry.card.deciding in entry.card.metrics else "",
            entry.card.made_at,
            "shipped" if entry.shipped else "trained here",
            clock(entry.changed_at),
        )
        for entry in known
    ]
    return table(("version", "used as", "runtime", "decided by", "made", "from", "since (UTC)"), rows)


def _use(entry: Entry) -> str:
    return f"canary {entry.percent} %" if entry.state is State.CANARY else entry.state.name.lower()


def render_card(entry: Entry) -> str:
    """A card, for people."""
    card: Card = entry.card
    lines = [
        f"{card.title}   {_use(entry)}, {card.runtime}, made {card.made_at}{f', from {card.parent}' if card.parent else ''}",
        "",
        "for       " + card.intended,
        "not for   " + card.limits,
        "",
        "trained on",
        *(_data(source.source, source.licence, source.rows, source.note) for source in card.training),
        *([] if card.training else ["  nothing"]),
        "",
        "metrics (held out)",
        *(f"  {name:<28} {value:.4f}{'   decides' if name == card.deciding else ''}" for name, value in card.metrics.items()),
        *([] if card.metrics else ["  none"]),
        "",
        "files",
        *(f"  {file.name:<28} {file.bytes:>10} bytes   sha256 {file.sha256}" for file in card.files),
        *([] if card.files else ["  none: it is all in the program"]),
    ]
    return "\n".join(lines)


def _data(source: str, licence: str, rows: int, note: str) -> str:
    return f"  {source}   licence: {licence}" + (f"   {rows} rows" if rows else "") + (f"\n    {note}" if note else "")


async def _change(bridge: Bridge, parsed: Any, say: Say, complain: Complain) -> int:
    name, _, version = parsed.name.partition("@")
    if not version:
        complain(f"{parsed.name!r} names no version; `educonnect ml list --all` shows them (such as {name}@1)")
        return BAD_USAGE
    before = await bridge.run(
        partial(change, name=name, version=version, state=parsed.state, percent=parsed.percent),
        deadline_s=ASK_S,
    )
    say(f"{parsed.name}: {before.name.lower()} before, {parsed.state.name.lower()} now; ML processes follow within seconds")
    return 0


async def _rollback(bridge: Bridge, parsed: Any, say: Say, complain: Complain) -> int:
    version = await bridge.run(partial(rollback, name=parsed.name), deadline_s=ASK_S)
    say(f"{parsed.name}@{version} is active again; ML processes follow within seconds")
    return 0


async def _train(bridge: Bridge, parsed: Any, say: Say, complain: Complain) -> int:
    assert KINDS[parsed.name].training
    order = Order(KIND, pack(Train(parsed.name)), key=parsed.name)

    async def work(tx: asyncpg.Connection) -> int:
        return await enqueue(tx, order)

    await bridge.run(work, deadline_s=ASK_S)
    say(f"ordered; `educonnect jobs list --kind {KIND}` shows how it goes")
    return 0


async def _audit(bridge: Bridge, parsed: Any, say: Say, complain: Complain) -> int:
    if parsed.now:
        order = Order(AUDIT, pack(Look(parsed.name)), key=parsed.name)

        async def work(tx: asyncpg.Connection) -> int:
            return await enqueue(tx, order)

        await bridge.run(work, deadline_s=ASK_S)
        say(f"ordered; `educonnect jobs list --kind {AUDIT}` shows how it goes")
        return 0
    found = await bridge.run(partial(latest, model=parsed.name), deadline_s=ASK_S, readonly=True)
    if found is None:
        complain(f"{parsed.name} was not audited yet: once a week it is, or with --now, when there is enough to compare")
        return REFUSED
    at, report = found
    say(as_json(report) if parsed.json else render_audit(at, report))
    return 0


def render_audit(at: datetime, report: Audited) -> str:
    """A report, for people."""
    rows = [
        (line.what, line.group, str(line.cases), f"{line.share:.1%}", f"{line.expected:.1%}" if line.expected >= 0 else "")
        for line in report.lines
    ]
    said = report.alarms or ("no alarm: what differs is within four fifths, or within chance",)
    return "\n".join(
        [
            f"{report.model}, {at:%Y-%m-%d %H:%M} UTC, {report.rows} cases; the lowest share is {report.ratio:.2f} of the highest",
            "",
            table(("what", "group", "cases", "share", "expected"), rows),
            "",
            *said,
        ]
    )
