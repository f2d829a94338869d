"""Drafts in `educonnect learn`: questions that a model made from a lesson's text, for who writes lessons.

ask-drafts LESSON ─▶ (the server) ─▶ drafts ─▶ take-draft N [field=value …] [--exam] · reject-draft N

All of it is kept where there is no network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from client.drafts import CONTENT, QUALITY, Drafts, NoDraft
from client.replica import RecordView
from client.sync import KEPT, LOCAL, Command
from client.sync_commands import DONE, Desk, await_outcome
from client.sync_fields import Mistake, parse_fields
from protocol.entities import TABLE, Entity
from protocol.grading import FORM, KEY, LESSON, OPTIONS, PROMPT, WORDS, Form

Add = Callable[[str, str, Command, str], argparse.ArgumentParser]


async def ask_drafts(desk: Desk, options: argparse.Namespace) -> int:
    drafts = _drafts(desk, options)
    lesson, content = (0, options.key) if options.section else (options.key, 0)
    status = await await_outcome(desk, drafts.ask(lesson, content, options.language, options.limit), plain=True, bare=True)
    if status == DONE:
        desk.say("They are being made; you are told when they are here (educonnect learn drafts).")
    return status


async def list_drafts(desk: Desk, options: argparse.Namespace) -> int:
    listed = _drafts(desk, options).listed(options.lesson)
    return desk.tell([line for view in listed for line in draft_lines(view)] or ["No draft waits here."])


async def take_draft(desk: Desk, options: argparse.Namespace) -> int:
    changes = parse_fields(TABLE[Entity.QUESTION], list(options.words)) if options.words else {}
    try:
        pendings = _drafts(desk, options).take(options.draft, changes, exam=options.exam)
    except NoDraft as no:
        raise Mistake(f"{str(no)[0].upper()}{str(no)[1:]}.") from no
    statuses = [await await_outcome(desk, pending) for pending in pendings]
    desk.say(f"Question {options.draft}.")
    return max(statuses)


async def reject_draft(desk: Desk, options: argparse.Namespace) -> int:
    try:
        pending = _drafts(desk, options).reject(options.draft)
    except NoDraft as no:
        raise Mistake(f"{str(no)[0].upper()}{str(no)[1:]}.") from no
    return await await_outcome(desk, pending)


def draft_lines(view: RecordView) -> list[str]:
    """A draft as a person decides about it: what is asked, the options with the right ones marked, how sure the model is."""
    fields = view.fields
    number = fields.get(FORM)
    form = Form(number).name.lower() if isinstance(number, int) else "?"
    lines = [f"{view.key}  {form}, {fields.get(QUALITY, 0)} %  (lesson {fields.get(LESSON, 0)}, section {fields.get(CONTENT, 0)})"]
    lines.append(f"    {fields.get(PROMPT, '')}")
    right, options, words = fields.get(KEY, ()), fields.get(OPTIONS, ()), fields.get(WORDS, ())
    assert isinstance(right, tuple) and isinstance(options, tuple) and isinstance(words, tuple)
    places = {place: at for at, place in enumerate(right, 1)}
    for place, option in enumerate(options):
        mark = " " if place not in places else str(places[place]) if fields.get(FORM) == Form.ORDER else "*"
        lines.append(f"    {mark} {option}")
    return lines + [f"    = {word}" for word in words]


def add_draft_commands(add: Add) -> None:
    """Adds them to the parser of `educonnect learn`."""
    asked = add("ask-drafts", KEPT, ask_drafts, "have questions drafted from a lesson's text")
    asked.add_argument("key", type=int, metavar="LESSON")
    asked.add_argument("--section", action="store_true", help="the number is a section's")
    asked.add_argument("--language", default="", help="a language tag; the lesson's if not given")
    asked.add_argument("--limit", type=int, default=10)
    add("drafts", LOCAL, list_drafts, "drafts that wait for somebody to decide").add_argument("lesson", type=int, nargs="?", default=0)
    taken = add("take-draft", KEPT, take_draft, "make a draft a question of its lesson")
    taken.add_argument("draft", type=int)
    taken.add_argument("words", nargs="*", metavar="name=value", help="what to change in it")
    taken.add_argument("--exam", action="store_true", help="its key stays in the studio, and the server grades")
    add("reject-draft", KEPT, reject_draft, "turn a draft down").add_argument("draft", type=int)


def _drafts(desk: Desk, options: argparse.Namespace) -> Drafts:
    return Drafts(desk.session, options.community)
