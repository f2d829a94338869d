"""`educonnect mentors`: to find a mentor, to be one, and what there is between them, from a terminal; with the store of `educonnect sync`.

    find · ask · withdraw                for who learns
    offer · answer                       for who mentors
    list · goal · meet · end             for both

What is asked, answered and said in the end is kept without a network, and sent when there is one; to look for somebody needs one.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from client import mentors_view as view
from client.errors import RequestFailed
from client.sync import KEPT, REMOTE, Command, add_options, run_typed, serve_typed
from client.sync_commands import DONE, FAILED, KEYS, Desk, await_outcome
from client.sync_fields import Mistake, parse_fields
from client.words import failure
from protocol.entities import TABLE, Entity
from protocol.frames import MentorshipItem


def run_mentors(argv: Sequence[str]) -> int:
    """`educonnect mentors`: returns the exit status, as `educonnect sync` does."""
    return run_typed(mentors, argv)


async def mentors(argv: Sequence[str], say: Callable[[str], None]) -> int:
    """Carries out what was typed; returns the exit status. Raises `SystemExit` where it cannot be read as a command."""
    return await serve_typed(_parser().parse_args(argv), say)


async def find(desk: Desk, options: argparse.Namespace) -> int:
    try:
        found = await desk.session.find_mentors(
            *options.subjects, level=options.level, languages=tuple(options.language), space=options.community, limit=options.limit
        )
    except RequestFailed as failed:
        desk.say(failure(failed, ""))
        return FAILED
    return desk.tell(view.found_lines(found))


async def ask(desk: Desk, options: argparse.Namespace) -> int:
    mentor = await _person(desk, options.mentor)
    pending = desk.session.propose(mentor, options.subject, options.words, space=options.community)
    return await await_outcome(desk, pending, plain=True)


async def _person(desk: Desk, typed: str) -> int:
    """Who was meant, by number or by the name they log in with; a name is looked up at the server."""
    if typed.isascii() and typed.isdigit():
        return int(typed)
    if not desk.online:
        raise Mistake(f"Without a connection a mentor is named by number, as educonnect mentors find shows it, not “{typed}”.")
    return (await desk.session.search(typed.removeprefix("@"))).user


async def withdraw(desk: Desk, options: argparse.Namespace) -> int:
    return await await_outcome(desk, desk.session.withdraw_proposal(options.mentorship), plain=True)


async def answer(desk: Desk, options: argparse.Namespace) -> int:
    pending = desk.session.answer_proposal(options.mentorship, options.say == "yes", options.words)
    return await await_outcome(desk, pending, plain=True)


async def end(desk: Desk, options: argparse.Namespace) -> int:
    pending = desk.session.end_mentorship(options.mentorship, reached=options.goal == "reached", rating=options.rating, words=options.words)
    return await await_outcome(desk, pending, plain=True)


async def offer(desk: Desk, options: argparse.Namespace) -> int:
    """Writes fields of one's MENTORING record, or of LEARNING."""
    entity = Entity.LEARNING if options.learning else Entity.MENTORING
    stream = desk.session.sync_streams.find(entity, 0)
    return await await_outcome(desk, desk.session.put(stream, entity, 1, parse_fields(TABLE[entity], options.fields)))


async def show(desk: Desk, options: argparse.Namespace) -> int:
    page = await desk.session.mentorships(open_only=not options.over, limit=100)
    desk.tell(view.mentorship_lines(page.mentorships, desk.session.user))
    for item in page.mentorships:
        if item.records:
            goals, meetings = (desk.session.records.list(item.records, entity) for entity in (Entity.GOAL, Entity.MEETING))
            if goals or meetings:
                desk.tell([f"  of {item.mentorship}:", *view.together_lines(goals, meetings)])
    return DONE


async def goal(desk: Desk, options: argparse.Namespace) -> int:
    return await _write(desk, options, Entity.GOAL)


async def meet(desk: Desk, options: argparse.Namespace) -> int:
    """A meeting; `when` is by the clock of this machine."""
    options.fields = [f"at={_seconds(field[5:])}" if field.startswith("when=") else field for field in options.fields]
    return await _write(desk, options, Entity.MEETING)


def _seconds(when: str) -> int:
    try:
        return int(datetime.fromisoformat(when).astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        raise Mistake(f"“{when}” is no time: type when=2026-05-01T18:00.") from None


async def _write(desk: Desk, options: argparse.Namespace, entity: Entity) -> int:
    item = await _mentorship(desk, options.mentorship)
    if not item.records:
        raise Mistake(f"Mentorship {item.mentorship} has not begun.")
    key = options.key or secrets.randbelow(KEYS) + 1
    desk.say(f"{entity.name.lower()} {key}")
    return await await_outcome(desk, desk.session.put(item.records, entity, key, parse_fields(TABLE[entity], options.fields)))


async def _mentorship(desk: Desk, number: int) -> MentorshipItem:
    page = await desk.session.mentorships(after=number - 1, open_only=False, limit=1)
    item = next((one for one in page.mentorships if one.mentorship == number), None)
    if item is None:
        raise Mistake(f"You have no mentorship {number}.")
    return item


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="educonnect mentors", description="To find a mentor, and to be one.")
    add_options(parser)
    groups = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, needs: str, command: Command, help: str) -> argparse.ArgumentParser:
        made = groups.add_parser(name, help=help, description=help)
        made.set_defaults(command=command, needs=needs)
        return made

    def in_community(made: argparse.ArgumentParser) -> None:
        made.add_argument("--in", dest="community", type=int, default=0, metavar="COMMUNITY", help="its number; none: anywhere")

    looked = add("find", REMOTE, find, "mentors who fit; what you leave out is taken from your own records")
    looked.add_argument("subjects", nargs="*", metavar="SUBJECT")
    looked.add_argument("--level", type=int, default=0, help="1 to 10")
    looked.add_argument("--language", action="append", default=[], help="a tag such as sw or pt-BR; may be given again")
    looked.add_argument("--limit", type=int, default=10)
    in_community(looked)
    asked = add("ask", KEPT, ask, "ask somebody to be your mentor")
    asked.add_argument("mentor", help="their number, as find shows it, or the name they log in with")
    asked.add_argument("subject")
    asked.add_argument("words", nargs="?", default="")
    in_community(asked)
    add("withdraw", KEPT, withdraw, "take a proposal back").add_argument("mentorship", type=int)
    answered = add("answer", KEPT, answer, "answer a proposal")
    answered.add_argument("mentorship", type=int)
    answered.add_argument("say", choices=("yes", "no"))
    answered.add_argument("words", nargs="?", default="")
    ended = add("end", KEPT, end, "say that it is over, and how it was")
    ended.add_argument("mentorship", type=int)
    ended.add_argument("goal", choices=("reached", "missed"))
    ended.add_argument("rating", type=int, choices=range(1, 6))
    ended.add_argument("words", nargs="?", default="")
    offered = add("offer", KEPT, offer, "say how you mentor, or (--learning) what you want to learn")
    offered.add_argument("fields", nargs="+", metavar="name=value")
    offered.add_argument("--learning", action="store_true")
    add("list", REMOTE, show, "your mentorships and proposals, with goals and meetings").add_argument(
        "--over", action="store_true", help="also those that are over"
    )
    for name, command, help in (("goal", goal, "write a goal"), ("meet", meet, "propose a meeting, agree to one, move it")):
        written = add(name, REMOTE, command, help)
        written.add_argument("mentorship", type=int)
        written.add_argument("fields", nargs="+", metavar="name=value", help="of a meeting also when=2026-05-01T18:00")
        written.add_argument("--key", type=int, default=0, help="of one that is there already")
    return parser


if __name__ == "__main__":
    sys.exit(run_mentors(sys.argv[1:]))
