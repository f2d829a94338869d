"""The shipped version in a process of its own, as it serves."""

from __future__ import annotations

import msgspec
import trio

from actors.inference import Compose, Form, Questions
from ml_actors.kinds import KINDS, Options
from ml_actors.registry import SHIPPED
from ml_actors.workers import ProcessWorker
from supervisors.ml_node import spawn

TEXT = "The king went home because it rained all day. The queen found a silver key near the old mill."


async def test_the_shipped_version_answers_from_a_process_within_its_bounds() -> None:
    kind = KINDS["questions"]
    worker = ProcessWorker(spawn, kind, SHIPPED / "questions" / "1", Options(), kind.memory_mib_max)
    try:
        with trio.fail_after(kind.start_s):
            assert await worker.begin() == "questions@1"
            await worker.warm()
            [answer] = await worker.answer([msgspec.msgpack.encode(Compose(TEXT, "en", (Form.SHORT,), 5))])
    finally:
        await worker.end()
    assert isinstance(answer, bytes), answer
    made = msgspec.msgpack.decode(answer, type=Questions)
    assert "Why did the king go home?" in {question.prompt for question in made.questions}
