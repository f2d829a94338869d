"""A bulk importer: the lines of a text file, or a column of a CSV file, into a channel. Kill it and run it again: it goes on.

    line n ─▶ submit(Say(stream, line), bookmark=(file, n)) ─▶ many at once on the wire ─▶ committed

The bookmark and the message go into the store in one transaction, and each message has a number that the server knows it by. So
however often this is killed, every line arrives exactly once, in order.

    python examples/import_messages.py --url http://127.0.0.1:8000 --name archivist --stream 17 notes.txt
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[1]))

from client import Account, Bookmark, MutationRefused, Pending, Session, SqliteStore, connect
from protocol.operations import Say

TEXT_MAX = 4000
AHEAD_MAX = 500
"""Lines submitted and not yet committed: enough to fill the server's window, few enough to report early."""


def texts(path: Path, column: str) -> Iterator[str]:
    """The messages of a file, in order; empty lines are none."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = (row[column] for row in csv.DictReader(file)) if path.suffix == ".csv" else file
        yield from (text.strip()[:TEXT_MAX] for text in rows if text.strip())


async def confirm(pending: Pending) -> int:
    """1 for a message that is committed, 0 for one that is refused."""
    try:
        await pending.wait()
    except MutationRefused as refused:
        print(f"refused: {refused}", flush=True)
        return 0
    return 1


async def bring_in(session: Session, stream: int, path: Path, column: str) -> int:
    """Imports what this store has not imported yet; returns how many messages were committed in this run."""
    name = f"{path} into {stream}"
    done = session.bookmark(name)
    ahead = list(session.unanswered)
    committed = 0
    for position, text in enumerate(texts(path, column), 1):
        if position <= done:
            continue
        ahead.append(session.submit(Say(stream, text), bookmark=Bookmark(name, position)))
        if len(ahead) >= AHEAD_MAX:
            committed += await confirm(ahead.pop(0))
    for pending in ahead:
        committed += await confirm(pending)
    return committed


async def main(options: argparse.Namespace) -> None:
    with SqliteStore(options.store) as store:
        async with Account(options.url) as account:
            device = store.load().device
            credentials = await account.login(options.name, os.environ["EDUCONNECT_PASSWORD"], device, device_name="importer")
            async with connect(options.url, credentials, store=store) as session:
                print(f"committed {await bring_in(session, options.stream, options.file, options.column)} messages", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Imports messages. The password comes from EDUCONNECT_PASSWORD.")
    parser.add_argument("file", type=lambda path: Path(path).resolve(), help="a text file (a message a line) or a .csv file with a heading")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--name", required=True)
    parser.add_argument("--stream", type=int, required=True)
    parser.add_argument("--column", default="text", help="of a CSV file (default: %(default)s)")
    parser.add_argument("--store", default="import.db", help="file that keeps the device, the position and what is unsent")
    trio.run(main, parser.parse_args())
