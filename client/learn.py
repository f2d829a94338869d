"""`educonnect learn`: courses, checkpoints and what comes next, from a terminal; it works with the store of `educonnect sync`.

    outline · next · read · ask · take · done · enrol · grades · due · review · insights     for who learns
    write · check · ask-drafts · drafts · take-draft · reject-draft                            for who teaches

All but the first look at a community need no network: what is written is kept, and sent when there is one.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence

from client import learn_view as view
from client.draft_commands import add_draft_commands
from client.learning import Learning
from client.review_commands import add_review_commands
from client.sync import KEPT, LOCAL, Command, add_options, run_typed, serve_typed
from client.sync_commands import DONE, KEYS, WAITS, Desk, await_outcome, await_outcomes
from client.sync_fields import Mistake, parse_fields
from protocol.entities import TABLE, Entity

ENTITIES = {
    "subject": Entity.SUBJECT,
    "course": Entity.COURSE,
    "lesson": Entity.LESSON,
    "path": Entity.PATH,
    "section": Entity.CONTENT,
    "question": Entity.QUESTION,
    "key": Entity.ANSWER_KEY,
}
"""What `write` writes."""
STATES = {"active": 0, "pause": 1, "finish": 2, "leave": 3}


def run_learn(argv: Sequence[str]) -> int:
    """`educonnect learn`: returns the exit status, as `educonnect sync` does."""
    return run_typed(learn, argv)


async def learn(argv: Sequence[str], say: Callable[[str], None]) -> int:
    """Carries out what was typed; returns the exit status. Raises `SystemExit` where it cannot be read as a command."""
    return await serve_typed(_parser().parse_args(argv), say)


# Who learns


async def outline(desk: Desk, options: argparse.Namespace) -> int:
    learning = _learning(desk, options)
    courses = learning.all(Entity.COURSE)
    chosen = [options.course] if options.course is not None else [*sorted(courses, key=lambda key: view.order(courses[key], key)), 0]
    lines = [line for course in chosen for line in view.outline_lines(course, courses.get(course, {}), learning.outline(course))]
    return desk.tell(lines or ["There is no lesson here yet."])


async def next_steps(desk: Desk, options: argparse.Namespace) -> int:
    learning = _learning(desk, options)
    due = len(desk.session.due_cards(community=options.community))
    return desk.tell([*view.next_lines(learning.next(options.limit), learning), *view.due_hint(due)])


async def read(desk: Desk, options: argparse.Namespace) -> int:
    learning = _learning(desk, options)
    lesson = learning.all(Entity.LESSON).get(options.lesson)
    if lesson is None:
        raise Mistake(f"There is no lesson {options.lesson} on this device.")
    return desk.tell(view.lesson_lines(lesson, learning.sections(options.lesson), len(learning.questions(options.lesson))))


async def ask(desk: Desk, options: argparse.Namespace) -> int:
    learning = _learning(desk, options)
    questions = learning.questions(options.lesson)
    if not questions:
        raise Mistake(f"Lesson {options.lesson} has no questions on this device.")
    return desk.tell([line for at, (key, fields) in enumerate(questions, 1) for line in view.question_lines(at, fields, key)])


async def take(desk: Desk, options: argparse.Namespace) -> int:
    """Answers a lesson's questions, in their order; says at once what each is worth, as far as it can be told here."""
    learning = _learning(desk, options)
    questions = learning.questions(options.lesson)
    if len(options.answers) > len(questions):
        raise Mistake(f"Lesson {options.lesson} has {len(questions)} questions, and there are {len(options.answers)} answers.")
    given = zip(questions, options.answers, strict=False)
    read_answers = [view.read_answer(at, fields, typed) for at, ((_, fields), typed) in enumerate(given, 1)]
    waiting = []
    for at, ((key, fields), answer) in enumerate(zip(questions, read_answers, strict=False), 1):
        taken = learning.take(key, choices=answer[0], text=answer[1])
        desk.tell(view.taken_lines(at, fields, taken))
        waiting.append(taken.pending)
    return await await_outcomes(desk, waiting)


async def done(desk: Desk, options: argparse.Namespace) -> int:
    return await await_outcome(desk, _learning(desk, options).advance(options.lesson, options.percent))


async def enrol(desk: Desk, options: argparse.Namespace) -> int:
    pending = _learning(desk, options).enrol(options.key, goal=options.goal, state=STATES[options.state])
    return await await_outcome(desk, pending)


async def grades(desk: Desk, options: argparse.Namespace) -> int:
    learning = _learning(desk, options)
    return desk.tell(view.grade_lines(learning.grades(), learning.all(Entity.QUESTION)))


# Who teaches


async def write(desk: Desk, options: argparse.Namespace) -> int:
    """Writes fields of a record of the library or the studio, or begins one; what makes no sense with the others is refused here."""
    entity = ENTITIES[options.what]
    words = list(options.words)
    typed = words.pop(0) if words and "=" not in words[0] else "new"
    if typed == "new":
        key = secrets.randbelow(KEYS) + 1
    elif typed.isdecimal():
        key = int(typed)
    else:
        raise Mistake(f"“{typed}” is no number of a {options.what}: type its number, or new.")
    pending = _learning(desk, options).write(entity, key, parse_fields(TABLE[entity], words))
    desk.say(f"{options.what} {key}")
    return await await_outcome(desk, pending)


async def check(desk: Desk, options: argparse.Namespace) -> int:
    problems = _learning(desk, options).problems()
    desk.tell(problems or ["Nothing is wrong here."])
    return WAITS if problems else DONE


def _learning(desk: Desk, options: argparse.Namespace) -> Learning:
    learning = desk.session.learning(options.community)
    desk.session.sync_streams.find(Entity.LESSON, options.community)  # says which communities there are where it is not clear
    return learning


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="educonnect learn", description="Courses, checkpoints, what comes next; also offline.")
    add_options(parser)
    groups = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, needs: str, command: Command, help: str) -> argparse.ArgumentParser:
        made = groups.add_parser(name, help=help, description=help)
        made.set_defaults(command=command, needs=needs)
        made.add_argument("--in", dest="community", type=int, default=0, metavar="COMMUNITY", help="its number, where you are in several")
        return made

    add("outline", LOCAL, outline, "a course's lessons, and how far you are").add_argument("course", type=int, nargs="?")
    add("next", LOCAL, next_steps, "what might come next").add_argument("--limit", type=int, default=8)
    add("read", LOCAL, read, "a lesson").add_argument("lesson", type=int)
    add("ask", LOCAL, ask, "a lesson's questions").add_argument("lesson", type=int)
    taken = add("take", KEPT, take, "answer a lesson's questions, in their order")
    taken.add_argument("lesson", type=int)
    taken.add_argument("answers", nargs="+", metavar="ANSWER", help="letters of options (b, or a,c), or words; gaps are parted by /")
    advanced = add("done", KEPT, done, "say that you are through a lesson, or how far")
    advanced.add_argument("lesson", type=int)
    advanced.add_argument("percent", type=int, nargs="?", default=100)
    enrolled = add("enrol", KEPT, enrol, "begin a course or a path, or pause, finish or leave it")
    enrolled.add_argument("key", type=int)
    enrolled.add_argument("state", nargs="?", choices=sorted(STATES), default="active")
    enrolled.add_argument("--goal", default="", help="what for, in your own words")
    add("grades", LOCAL, grades, "what your answers are worth")
    written = add("write", KEPT, write, "write a lesson, or what belongs to one")
    written.add_argument("what", choices=sorted(ENTITIES))
    written.add_argument("words", nargs="+", metavar="[KEY|new] name=value", help="name=@FILE takes what is in a file")
    add("check", LOCAL, check, "what does not fit together, for who writes")
    add_review_commands(add)
    add_draft_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(run_learn(sys.argv[1:]))
