"""Questions that come again, and what was noticed, in `educonnect learn`: due · review · insights. All of it without a network, too.

    due ─▶ cards whose time has come ─▶ review QUESTION ANSWER ─▶ how it went, and when it comes next

A review is what makes a question come again: `take` answers a lesson's questions and begins no card.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from client.learn_view import graded_words, question_lines, read_answer
from client.reviews import DueCard, Reviewed
from client.sync import KEPT, LOCAL, Command
from client.sync_commands import Desk, await_outcomes
from client.sync_fields import Mistake, indented
from client.sync_view import count, moment
from protocol.entities import Entity, Fields
from protocol.reviews import Rating

Add = Callable[[str, str, Command, str], argparse.ArgumentParser]

KNOWN: Final = {rating.name.lower(): rating for rating in Rating}
ALL: Final = sys.maxsize
"""A moment at which every card is due."""


async def due(desk: Desk, options: argparse.Namespace) -> int:
    session, community = desk.session, options.community
    cards = session.due_cards(community=community)
    later = [card for card in session.due_cards(ALL, community=community) if card not in cards]
    return desk.tell(due_lines(cards, later, session.learning(community).all(Entity.QUESTION)))


async def review(desk: Desk, options: argparse.Namespace) -> int:
    asked = desk.session.learning(options.community).all(Entity.QUESTION).get(options.question)
    if asked is None:
        raise Mistake(f"There is no question {options.question} on this device.")
    choices, text = read_answer(options.question, asked, options.answer)
    known = KNOWN[options.known] if options.known else None
    done = desk.session.review(options.question, known, choices=choices, text=text, community=options.community)
    desk.tell(reviewed_lines(done))
    return await await_outcomes(desk, done.pending)


async def insights(desk: Desk, options: argparse.Namespace) -> int:
    learning = desk.session.learning(options.community)
    titles = {key: str(fields.get(1, "")) for key, fields in learning.all(Entity.LESSON).items()}
    return desk.tell(insight_lines(list(learning.all(Entity.INSIGHT).values()), titles))


def due_lines(due: Sequence[DueCard], later: Sequence[DueCard], questions: Mapping[int, Fields]) -> list[str]:
    """What is to come again now, and when the next of the others comes."""
    lines = [line for card in due for line in question_lines(card.question, questions[card.question])]
    if due:
        lines.append("Answer one: educonnect learn review QUESTION ANSWER.")
    elif not later:
        lines.append("No question comes again yet. One that you answer with educonnect learn review QUESTION ANSWER does.")
    else:
        lines.append("No question is due just now.")
    if later:
        lines.append(
            f"{count(len(later), 'question')} {'comes' if len(later) == 1 else 'come'} later, the next at {moment(later[0].card.due)}."
        )
    return lines


def reviewed_lines(done: Reviewed) -> list[str]:
    """How an answer was, and when its question comes again."""
    said = graded_words(done.graded) if done.graded is not None else "Only the server can grade it."
    lines = [f"{said} It comes again at {moment(done.card.due)}."]
    return [*lines, indented(done.explanation)] if done.explanation else lines


NOTICED: Final[dict[str, Callable[[str, str], str]]] = {
    "strength": lambda value, _: f"You are good at this: {value} % of your answers in this lesson were right.",
    "stuck": lambda value, _: f"Your last {value} answers in this lesson were wrong. What comes before it may help, or your mentor.",
    "silent": lambda value, _: f"You have not been here for {value} days.",
    "fewer": lambda value, of: f"You were here on {value} days of the last two weeks, after {of} of the two before.",
    "wrong": lambda value, of: f"{value} of your last {of} answers were wrong. Something easier first?",
    "never": lambda value, _: f"You came {value} days ago and have not begun yet.",
}
"""By key: the sentence, of what fills it (docs/analytics.md)."""
RISK_STUCK: Final = "There are {} lessons in which nothing is going right."
"""`stuck` of no lesson: how many there are."""


def insight_lines(noticed: Sequence[Fields], titles: Mapping[int, str]) -> list[str]:
    """What the server noticed, what goes well first; of a key that is newer than this program, nothing that could be wrong."""
    lines = []
    for fields in sorted(noticed, key=lambda one: (_whole(one.get(1)), -_whole(one.get(4)))):
        key, value, of = (*str(fields.get(5, "")).split(":"), "", "", "")[:3]
        lesson = _whole(fields.get(3))
        sentence = NOTICED.get(key)
        if sentence is None:
            continue
        words = RISK_STUCK.format(value) if key == "stuck" and not lesson else sentence(value, of)
        lines.append(f"{lesson}  {titles.get(lesson, 'a lesson that is no longer here')} – {words}" if lesson else words)
    return lines or ["Nothing was noticed about your learning here yet."]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def add_review_commands(add: Add) -> None:
    """Adds them to the parser of `educonnect learn`."""
    add("due", LOCAL, due, "questions that are to come again now")
    again = add("review", KEPT, review, "answer a question, so that it comes again when it would be forgotten")
    again.add_argument("question", type=int)
    again.add_argument("answer", metavar="ANSWER", help="as in take: letters of options (b, or a,c), or words")
    again.add_argument("--known", choices=sorted(KNOWN), help="how well you knew it; without it the grade says it")
    add("insights", LOCAL, insights, "what was noticed about your learning; nobody but you and your mentors read it")
