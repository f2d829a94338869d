"""A bridge: mirrors one channel into another community's, once each, over kills and restarts.

    events of `--source` ─▶ submit(Say(target, "name: text"), cause=event)

`cause` writes the mirrored message and the position in the source down in one transaction: whatever kills this program, the next run
goes on with the next message, and none comes twice.

    python examples/bridge.py --url http://127.0.0.1:8000 --name carrier --source 17 --target 23
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[1]))

from client import Account, CaughtUp, Session, SqliteStore, Unreadable, connect
from protocol.events import Posted, Said
from protocol.frames import Event
from protocol.operations import Say

TEXT_MAX = 4000


async def names_in(session: Session, stream: int) -> dict[int, str]:
    """Who is who in the space that has this stream."""
    names: dict[int, str] = {}
    for space in (await session.overview()).spaces:
        if any(state.stream == stream for state in space.streams):
            after, more = 0, True
            while more:
                page = await session.members(space.space, after=after)
                names.update({member.user: member.display_name for member in page.members})
                after, more = max(names), page.more
    return names


async def mirror(session: Session, source: int, target: int, once: bool) -> int:
    """Mirrors until the source can no longer be read; with `once`, until it is caught up. Returns how many messages."""
    names = await names_in(session, source)
    mirrored = 0
    with session.events(source) as events:
        async for item in events:
            match item:
                case Event(body=Said() | Posted()) if item.author != session.user:
                    assert isinstance(item.body, Said | Posted)
                    if item.author not in names:
                        names |= await names_in(session, source)
                    text = f"{names.get(item.author, 'somebody')}: {item.body.text}"
                    pending = session.submit(Say(target, text[:TEXT_MAX]), cause=item)
                    mirrored += 1
                    if len(session.unanswered) > 100:
                        await pending.wait()
                case CaughtUp() if once:
                    break
                case Unreadable(_, code, detail):
                    print(f"stream {source} cannot be read (code {code}) {detail}", flush=True)
                    break
                case _:
                    pass
    await session.settled()
    return mirrored


async def main(options: argparse.Namespace) -> None:
    with SqliteStore(options.store) as store:
        async with Account(options.url) as account:
            device = store.load().device
            credentials = await account.login(options.name, os.environ["EDUCONNECT_PASSWORD"], device, device_name="bridge")
            async with connect(options.url, credentials, store=store) as session:
                print(f"mirrored {await mirror(session, options.source, options.target, options.once)} messages", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Mirrors a channel into another. The password comes from EDUCONNECT_PASSWORD.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--name", required=True)
    parser.add_argument("--store", default="bridge.db", help="file that keeps the device, its position and what is unsent")
    parser.add_argument("--source", type=int, required=True, metavar="STREAM")
    parser.add_argument("--target", type=int, required=True, metavar="STREAM")
    parser.add_argument("--once", action="store_true", help="stop when everything there is has been mirrored")
    trio.run(main, parser.parse_args())
