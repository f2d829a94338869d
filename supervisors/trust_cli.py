"""`educonnect trust`: the people on whose word everybody's standing builds, at the command line.

    trust                    who they are
    trust seed NAME          names one: in a new installation nobody is trusted enough to mentor until somebody is
    trust unseed NAME        takes that back

What is done here is written into the audit as the system's: whoever has the machine has the database.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from actors.storage_port import StorageError
from actors.trust_book import SEEDS_MAX
from actors.trust_gates import Thresholds
from persistence.bridge import Bridge, BridgeOptions
from persistence.role_book import COMMAND_LINE, find_account
from persistence.trust_book import PostgresTrust, name_seed, unname_seed

Say = Callable[[str], None]
Complain = Callable[[object], None]

REFUSED: Final = 1
ASK_S: Final = 10.0


def add_trust(command: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Adds what `educonnect trust` takes."""
    command.set_defaults(change=None)
    add_config(command)
    commands = command.add_subparsers(metavar="what")
    for name, change, help in (
        ("seed", name_seed, "others' standing builds on this person's word"),
        ("unseed", unname_seed, "it does so no longer"),
    ):
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(change=change)
        sub.add_argument("name", metavar="NAME", help="the account, as it logs in")
        # Given before or after the word: what was given before it is not set back.
        sub.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run_trust(parsed: argparse.Namespace, dsn: str, say: Say, complain: Complain) -> int:
    """Carries out one of them; the exit status."""

    async def ask() -> int:
        bridge = Bridge(BridgeOptions(dsn, connections_max=1))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            try:
                status = await (_list(bridge, say) if parsed.change is None else _change(bridge, parsed, say, complain))
            except StorageError as error:
                complain(f"the database cannot be asked: {error}")
                status = REFUSED
            nursery.cancel_scope.cancel()
        return status

    return trio.run(ask)


async def _list(bridge: Bridge, say: Say) -> int:
    book, after, found = PostgresTrust(bridge, Thresholds()), 0, 0
    while True:
        page = await book.list_seeds(after)
        for seed in page.seeds:
            say(f"{seed.user}  {seed.display_name}")
        found += len(page.seeds)
        if not page.more or not page.seeds:
            break
        after = page.seeds[-1].user
    if not found:
        say("Nobody is a seed: no word of anybody counts, and nobody is trusted enough to mentor. educonnect trust seed NAME")
    return 0


async def _change(bridge: Bridge, parsed: Any, say: Say, complain: Complain) -> int:
    naming = parsed.change is name_seed
    user = await bridge.run(partial(find_account, name=parsed.name, disabled=not naming), deadline_s=ASK_S, readonly=True)
    if user is None:
        complain(f"there is no account {parsed.name!r}")
        return REFUSED
    if not await bridge.run(partial(parsed.change, by=COMMAND_LINE, user=user), deadline_s=ASK_S):
        complain(f"{SEEDS_MAX} people are seeds, and there may be no more" if naming else f"{parsed.name} is none")
        return REFUSED
    say(f"{parsed.name}: {'a seed; whom they vouch for gains by it' if naming else 'a seed no longer'}, within a minute or so")
    return 0
