"""A bot that answers when it is mentioned, in every community that it is a member of.

    inbox: Mentioned(stream, seq) ─▶ history: the message ─▶ submit(Post(reply), cause=the mention)

Run it twice with the same `--store` and kill it in between: `cause` makes the answer and the end of the mention one step in the store,
so that each mention is answered exactly once.

    python examples/bot.py --url http://127.0.0.1:8000 --name helper --register --join 12
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[1]))

from client import Account, RequestFailed, Session, SqliteStore, connect
from client.fold import fact_of
from protocol.events import Mentioned, Posted, Said
from protocol.frames import Event
from protocol.operations import Join, Post


def reply_to(text: str) -> str:
    """What the bot has to say."""
    if "help" in text.casefold():
        return "Ask me anything; I count the words of what you say."
    return f"You said {len(text.split())} words."


async def answer(session: Session, mention: Event, mentioned: Mentioned) -> None:
    """Reads the message that mentions us, and answers it."""
    try:
        page = await session.history(mentioned.stream, before=mentioned.seq + 1, limit=1)
    except RequestFailed as failed:
        print(f"cannot read message {mentioned.seq}: {failed}", flush=True)
        return
    for event in page.events:
        fact = fact_of(mentioned.stream, event)
        if isinstance(fact, Event) and isinstance(fact.body, Said | Posted) and fact.seq == mentioned.seq:
            post = Post(mentioned.stream, reply_to(fact.body.text), mentioned.seq)
            seq = await session.submit(post, cause=mention).wait()
            print(f"answered {mentioned.seq} with {seq}", flush=True)


async def main(options: argparse.Namespace) -> None:
    password = os.environ["EDUCONNECT_PASSWORD"]
    with SqliteStore(options.store) as store:
        async with Account(options.url) as account:
            device = store.load().device
            if options.register and not device:
                credentials = await account.register(options.name, password, device_name="bot")
            else:
                credentials = await account.login(options.name, password, device, device_name="bot")
            async with connect(options.url, credentials, store=store) as session:
                with session.events(credentials.inbox) as events:
                    for space in options.join:
                        await session.do(Join(space))
                    print("ready", flush=True)
                    answered = 0
                    async for item in events:
                        if isinstance(item, Event) and isinstance(item.body, Mentioned):
                            await answer(session, item, item.body)
                            answered += 1
                            if answered == options.answers:
                                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Answers when mentioned. The password comes from EDUCONNECT_PASSWORD.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--name", required=True)
    parser.add_argument("--register", action="store_true", help="sign up, if this store has no device yet")
    parser.add_argument("--store", default="bot.db", help="file that keeps the device, its position and what is unsent")
    parser.add_argument("--join", type=int, action="append", default=[], metavar="SPACE", help="join this community first")
    parser.add_argument("--answers", type=int, default=0, help="stop after so many answers (0: never)")
    trio.run(main, parser.parse_args())
