"""`educonnect roles`: who has which role on the platform, at the command line.

    roles                      what there is, and who has it
    roles grant NAME ROLE      gives it: so the first administrator is made, who gives the others over HTTP
    roles revoke NAME ROLE     takes it

What is done here is written into the audit as the system's: whoever has the machine has the database.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from actors.storage_port import StorageError
from persistence.bridge import Bridge, BridgeOptions
from persistence.role_book import (
    COMMAND_LINE,
    find_account,
    find_platform_role,
    give_platform_role,
    list_roles,
    take_platform_role,
)
from protocol.codes import Code
from protocol.permissions import unmask

Say = Callable[[str], None]
Change = Callable[..., Awaitable[Code]]

REFUSED: Final = 1
ASK_S: Final = 10.0


def add_roles(command: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Adds what `educonnect roles` takes."""
    command.set_defaults(change=None)
    add_config(command)
    commands = command.add_subparsers(metavar="what")
    for name, change, help in (
        ("grant", give_platform_role, "give somebody a role on the platform"),
        ("revoke", take_platform_role, "take a role on the platform from somebody"),
    ):
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(change=change)
        sub.add_argument("name", metavar="NAME", help="the account, as it logs in")
        sub.add_argument("role", metavar="ROLE", help="the role's name, such as operator")
        # Given before or after the word: what was given before it is not set back.
        sub.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run_roles(parsed: argparse.Namespace, dsn: str, say: Say, complain: Callable[[object], None]) -> int:
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
    found = await bridge.run(partial(list_roles, user=COMMAND_LINE, space=None), deadline_s=ASK_S, readonly=True)
    for one in found.roles:
        names = ", ".join(permission.name for permission in sorted(unmask(one.permissions)))
        say(f"{one.name:<18} {one.held_by} accounts   {names}")
    return 0


async def _change(bridge: Bridge, parsed: Any, say: Say, complain: Callable[[object], None]) -> int:
    role = await bridge.run(partial(find_platform_role, name=parsed.role), deadline_s=ASK_S, readonly=True)
    if role is None:
        complain(f"there is no role {parsed.role!r} on the platform; `educonnect roles` names those that there are")
        return REFUSED
    # Taken also from who cannot log in: what they had would be theirs again with the account.
    disabled = parsed.change is take_platform_role
    user = await bridge.run(partial(find_account, name=parsed.name, disabled=disabled), deadline_s=ASK_S, readonly=True)
    if user is None:
        complain(f"there is no account {parsed.name!r}")
        return REFUSED
    change: Change = parsed.change
    code = await bridge.run(partial(change, actor=COMMAND_LINE, role=role, user=user), deadline_s=ASK_S)
    if code is not Code.OK:
        complain(f"it was not done: {code.name}")
        return REFUSED
    say(f"{parsed.name}: {parsed.role} {'given' if change is give_platform_role else 'taken'}")
    return 0
