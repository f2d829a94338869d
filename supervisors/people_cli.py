"""What an operator does for people, at the command line.

    educonnect account reset-factors NAME --why TEXT    takes away every second factor of who lost them, and ends their sessions
    educonnect notices                                  what waits to be told, what failed, which addresses refuse mail

What is done here is written into the audit as the system's: whoever has the machine has the database.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import trio

from actors.mail import MAIL_SEND
from actors.push import PUSH_SEND
from actors.storage_port import StorageError
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.desk import PostgresDesk
from persistence.mfa_reset import WHY_LENGTH_MAX, reset_factors
from persistence.notice_delivery import NOTICE_MAIL
from persistence.notice_overview import REFUSALS_MAX, notice_overview
from persistence.notice_rows import DECIDE
from persistence.role_book import find_account
from supervisors.job_cli import as_json, lasting, table

Say = Callable[[str], None]

REFUSED: Final = 1
ASK_S: Final = 10.0
KINDS: Final = (DECIDE, NOTICE_MAIL, MAIL_SEND, PUSH_SEND)


def add_reset_factors(command: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Adds what `educonnect account reset-factors` takes."""
    command.set_defaults(ask=_reset)
    command.prog = "educonnect account reset-factors"  # as it is typed
    add_config(command)
    command.add_argument("name", metavar="NAME", help="the account, as it logs in")
    command.add_argument("--why", required=True, metavar="TEXT", help=f"how you know that it is they; kept in the audit ({WHY_LENGTH_MAX})")


def add_notices(command: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Adds what `educonnect notices` takes."""
    command.set_defaults(ask=_notices)
    add_config(command)
    command.add_argument("--json", action="store_true", help="as JSON")


def run_people(parsed: argparse.Namespace, dsn: str, say: Say, complain: Callable[[object], None]) -> int:
    """Carries out one of them; the exit status."""

    async def ask() -> int:
        bridge = Bridge(BridgeOptions(dsn, connections_max=1))
        carry_out: Callable[..., Awaitable[int]] = parsed.ask
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            try:
                status = await carry_out(bridge, parsed, say, complain)
            except StorageError as error:
                complain(f"the database cannot be asked: {error}")
                status = REFUSED
            nursery.cancel_scope.cancel()
        return status

    return trio.run(ask)


async def _reset(bridge: Bridge, parsed: Any, say: Say, complain: Callable[[object], None]) -> int:
    why = " ".join(parsed.why.split())
    if not 1 <= len(why) <= WHY_LENGTH_MAX or not why.isprintable():
        complain(f"--why: a reason of 1 to {WHY_LENGTH_MAX} characters; it is kept in the audit")
        return REFUSED
    user = await bridge.run(partial(find_account, name=parsed.name), deadline_s=ASK_S, readonly=True)
    if user is None:
        complain(f"there is no account {parsed.name!r}")
        return REFUSED
    cleared = await bridge.run(partial(reset_factors, user=user, why=why), deadline_s=ASK_S)
    told = "a mail tells them" if cleared.mailed else "they have proven no address: no mail tells them"
    say(f"{parsed.name}: {cleared.factors} factors and {cleared.codes} recovery codes gone, {cleared.sessions} sessions ended; {told}")
    return 0


async def _notices(bridge: Bridge, parsed: Any, say: Say, complain: Callable[[object], None]) -> int:
    found = await bridge.run(notice_overview, deadline_s=ASK_S, readonly=True)
    figures = [one for one in await PostgresDesk(bridge).overview() if one.kind in KINDS]
    if parsed.json:
        say(as_json({"notices": found, "jobs": figures}))
        return 0
    say(f"{found.undecided} notices wait for a decision, {found.for_digests} for a digest; {found.subscriptions} devices are pushed to")
    rows = [
        (one.kind, one.ready, lasting(one.oldest_s) if one.ready else "", one.delayed, one.failing, one.dead, one.done, one.failed)
        for one in figures
    ]
    say(table(("kind", "ready", "oldest", "delayed", "failing", "dead", "done", "failed"), rows) if rows else "nothing is sent")
    say(f"{found.refusing} addresses refuse mail" + (f"; the newest {REFUSALS_MAX}:" if found.refusing > REFUSALS_MAX else ""))
    now = time.time()
    if found.refused:
        refused = [(one.address, one.status, f"{lasting(now - one.at)} ago") for one in found.refused]
        say(table(("address", "status", "when"), refused))
    return 0
