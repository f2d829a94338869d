"""One member attacks a document while others write in it and talk beside it: they lose nothing, and what they wait is measured.

    python -m proofs documents [--seconds S] [--p99-ms N] [--made N] [--seed N]

    made-up documents, opened as the sandbox does (`proofs.document_search`): none that the door takes may end a process
    quiet ─▶ unsound updates ─▶ messages of 10 MB ─▶ somebody else's pen ─▶ 10,000 updates a second        each for S seconds, then checked
      two write in the document, three talk in a channel; the attacker is a process of its own

A whole installation with the limits of production, on this machine. It fails where a word of the others is lost, doubled or out of order,
where a socket of theirs ends, where their documents differ, where an attack is taken for something else than it is; and, with `--p99-ms`,
where the slowest hundredth of what the others wait is slower.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio
from msgspec import Struct, field

from bench.peer import read_line
from client import Account, Credentials, Session, connect
from client.documents import Document, open_document
from proofs.document_attacks import ENDED, SHUT_OUT, TRIED, Target
from proofs.document_search import search
from proofs.fuzzing.neighbours import Figures, Neighbours
from proofs.matrixing.ground import Login
from protocol.documents import written_of
from protocol.operations import CreateCommunity, CreateDocument, Invite, Join
from protocol.values import Role
from supervisors.dev import Installation
from supervisors.tree import running

ENVIRONMENT: Final[Mapping[str, str]] = {
    # Everything else is as it is by default; the talkers say the same again and again.
    "EDUCONNECT_MODERATION_FLOODING": "false",
    "EDUCONNECT_PASSWORDS_MEMORY_KIB": "8192",
    "EDUCONNECT_PASSWORDS_ROUNDS": "1",
    "EDUCONNECT_LOG_LEVEL": "error",
}
PEOPLE: Final = 4
WRITE_EVERY_S: Final = 0.05
QUIET_S: Final = 30.0
ATTACK_END_S: Final = 60.0
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "unsound": frozenset({TRIED, "INVALID", "RELOAD"}),
    "huge": frozenset({TRIED, f"{ENDED}TOO_LARGE", f"{ENDED}1009", f"{ENDED}BAD_FRAME", f"{ENDED}FLOOD"}),
    "forged": frozenset({TRIED, "FORBIDDEN", "INVALID", "RELOAD"}),
    "flood": frozenset({TRIED, SHUT_OUT}),
}
"""What may come of each attack; a flood's sockets may end with whatever is no `FAULT`. Anything else is a failure."""


class Phase(Struct):
    """What the others lived through, in one part of the run."""

    name: str
    talk: Figures
    attack: Counter[str]
    screen_s: list[float] = field(default_factory=list)
    unseen: int = 0

    def wrong(self) -> list[str]:
        """What must not be."""
        talk = self.talk
        counted = {"words lost": talk.lost, "doubled": talk.doubled, "out of order": talk.reordered, "sockets lost": talk.sockets_lost}
        counted["letters unseen"] = self.unseen
        found = [f"{self.name}: {what} {count}" for what, count in counted.items() if count]
        allowed = ALLOWED.get(self.name, frozenset())
        ends = {what for what in self.attack if self.name == "flood" and what.startswith(ENDED) and not what.endswith("FAULT")}
        found += [f"{self.name}: answered {what} {count} times" for what, count in self.attack.items() if what not in allowed | ends]
        if self.name in ALLOWED and not self.attack:
            found.append(f"{self.name}: nothing was tried")
        return found

    def p99_ms(self) -> tuple[float, float]:
        """What the others wait: for a word of the talk, for a letter of the document."""
        return self.talk.percentile_ms(self.talk.to_delivery_s, 0.99), self.talk.percentile_ms(self.screen_s, 0.99)

    def line(self) -> str:
        chat, letters = self.p99_ms()
        median = self.talk.percentile_ms(self.talk.to_delivery_s, 0.5), self.talk.percentile_ms(self.screen_s, 0.5)
        attack = ", ".join(f"{what} {count}" for what, count in sorted(self.attack.items()))
        return (
            f"{self.name:8} talk p50 {median[0]:.1f} p99 {chat:.1f} ms of {len(self.talk.to_delivery_s)}; "
            f"document p50 {median[1]:.1f} p99 {letters:.1f} ms of {len(self.screen_s)}{'; attack: ' if attack else ''}{attack}"
        )


class House:
    """An installation with people in it: one community, its channel, a document that two of them have open."""

    def __init__(
        self, port: int, sessions: Sequence[Session], channel: int, documents: tuple[Document, Document], rogue: Credentials
    ) -> None:
        self.port = port
        self.sessions = sessions
        self.channel = channel
        self.mine, self.theirs = documents
        self.rogue = rogue
        self.words: list[str] = []

    async def phase(self, name: str, seconds: float) -> Phase:
        """Everybody goes on for so long, beside the attack of this name, if it is one."""
        neighbours = Neighbours(list(self.sessions), self.channel)
        phase = Phase(name, neighbours.figures, Counter())
        async with trio.open_nursery() as nursery:
            await nursery.start(neighbours.run)
            async with trio.open_nursery() as attacking:
                stop = trio.Event()
                attacking.start_soon(self._write, phase, stop)
                if name in ALLOWED:
                    phase.attack = await self._attack(name, seconds)
                else:
                    await trio.sleep(seconds)
                stop.set()
            neighbours.stop()
        return phase

    async def _write(self, phase: Phase, stop: trio.Event) -> None:
        while not stop.is_set():
            word = f"<{phase.name} {len(self.words)}>"
            self.words.append(word)
            began_s = trio.current_time()
            self.mine.text.insert(0, word)
            with trio.move_on_after(QUIET_S) as late:
                await self.theirs.reads(partial(_begins, word))
                phase.screen_s.append(trio.current_time() - began_s)
            phase.unseen += late.cancelled_caught
            with trio.move_on_after(WRITE_EVERY_S):
                await stop.wait()

    async def _attack(self, name: str, seconds: float) -> Counter[str]:
        login = Login(self.rogue.user, self.rogue.device, 0, self.rogue.access_token)
        doc = self.mine.doc
        reach = written_of(doc.get_update()).strokes.end
        target = Target(self.port, login, self.mine.stream, self.mine.generation, doc.client_id, reach, seconds)
        command = [sys.executable, "-m", "proofs.document_attacks", name, msgspec.json.encode(target).decode()]
        process = await trio.lowlevel.open_process(command, stdout=-1)
        try:
            with trio.fail_after(seconds + ATTACK_END_S):
                counts: dict[str, int] = msgspec.json.decode(await read_line(process), type=dict[str, int])
        finally:
            process.kill()
            await process.wait()
        return Counter(counts)

    async def verdict(self) -> list[str]:
        """What is wrong with the document in the end."""
        with trio.move_on_after(QUIET_S) as late:
            await self.mine.settled()
            await self.theirs.reads(lambda text: text == str(self.mine.text))
        expected = "".join(reversed(self.words))
        found = ["their documents differ"] if late.cancelled_caught else []
        return found if str(self.mine.text) == expected else [*found, "the document is not what was written"]


def _begins(word: str, text: str) -> bool:
    return text.startswith(word)


async def run(seconds: float, p99_ms: float, seed: int, folder: Path) -> int:
    """All of it; the exit status."""
    installation = Installation(folder, port=0, environment=ENVIRONMENT)
    async with running(installation.spec()), AsyncExitStack() as stack:
        url = installation.urls[0]
        people = [await _register(url, f"person{number}") for number in range(PEOPLE)]
        sessions = [await stack.enter_async_context(connect(url, one)) for one in people[1:]]
        first, *others = sessions
        space = await first.do(CreateCommunity("writing"))
        async with connect(url, people[0]) as joining:
            for session in (*others, joining):
                await first.do(Invite(space, session.user, Role.LEARNER))
                await session.do(Join(space))
        channel = next(
            s.stream for one in (await first.overview()).spaces if one.space == space for s in one.streams if s.name == "general"
        )
        document = await first.do(CreateDocument(space, "Notes"))
        draw = random.Random(seed).random
        mine = await stack.enter_async_context(open_document(first, document, draw))
        theirs = await stack.enter_async_context(open_document(others[0], document, draw))
        for session in sessions:
            session.follow(channel)
        house = House(int(url.rpartition(":")[2]), sessions, channel, (mine, theirs), people[0])
        phases = []
        for name in ("quiet", *ALLOWED):
            phases.append(await house.phase(name, seconds))
            print(phases[-1].line(), flush=True)
        wrong = [one for phase in phases for one in phase.wrong()] + await house.verdict()
        if p99_ms:
            wrong += [f"{phase.name}: p99 {worst:.0f} ms" for phase in phases if (worst := max(phase.p99_ms())) > p99_ms]
    print(
        "\n".join(wrong) if wrong else "nothing was lost, doubled or out of order; no socket of the others ended; their documents are alike"
    )
    return 1 if wrong else 0


async def open_made_up(seed: int, count: int) -> int:
    """Tells what came of them; the exit status."""
    found = await search(seed, count)
    print(f"made up  {found.documents} documents of {found.taken} updates, {found.refused} refused; ended a process {len(found.culprits)}")
    for culprit in found.culprits:
        print("made up: ended a process, or was too slow:", *(update.hex() for update in culprit))
    return 1 if found.culprits else 0


async def _register(url: str, name: str) -> Credentials:
    async with Account(url) as account:
        return await account.register(name, "a long enough word")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs documents", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.5, help="of each part; five in all")
    parser.add_argument("--p99-ms", type=float, default=0.0, help="what the others wait at most; 0: it is only told")
    parser.add_argument("--made", type=int, default=1_000, help="documents that are made up: 100,000 are a minute or two; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    wrong = trio.run(open_made_up, options.seed, options.made)
    with tempfile.TemporaryDirectory(prefix="educonnect-documents-") as temporary:
        return wrong or trio.run(run, options.seconds, options.p99_ms, options.seed, Path(temporary))


if __name__ == "__main__":
    sys.exit(main())
