"""`educonnect learn` against the running system: a mentor writes and revises, a learner learns for days without a network."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from client import connect
from client.learn import learn
from protocol.values import Role
from supervisors.demo import AMINA, JUMA, make_demo
from tests.system.running import PASSWORD, Dev, community, register

pytestmark = pytest.mark.xdist_group("system")


class Device:
    """A store, and who uses it."""

    def __init__(self, store: Path, url: str, name: str, password: str = PASSWORD) -> None:
        self._given = ["--store", str(store), "--url", url, "--name", name, "--password", password, "--wait", "20"]

    async def __call__(self, *words: str, status: int = 0) -> str:
        printed: list[str] = []
        ended = await learn([*self._given, *words], printed.append)
        text = "\n".join([*printed, ""])
        assert ended == status, f"{words}: {ended}\n{text}"
        return text

    async def write(self, *words: str) -> str:
        """The key of what was written."""
        found = re.search(r"^\w+ (\d+)$", await self("write", *words), re.MULTILINE)
        assert found is not None
        return found.group(1)

    async def grades_until(self, enough: Callable[[str], bool]) -> str:
        """What the server has graded, once it is enough: each look is a whole visit to the server."""
        with trio.fail_after(60):
            while True:
                told = await self("--fresh", "grades")
                if enough(told):
                    return told


async def test_a_learner_who_is_away_for_days_and_a_mentor_who_revises_meanwhile_both_find_what_they_expect(
    dev: Dev, tmp_path: Path
) -> None:
    url = dev.urls[0]
    mentor, learner = await register(url), await register(url)
    async with connect(url, mentor) as one, connect(url, learner) as two:
        async with community(url, (one, Role.MENTOR), (two, Role.LEARNER)):
            pass
    desk = Device(tmp_path / "mentor.db", url, mentor.login.name)
    phone = Device(tmp_path / "phone.db", dev.urls[-1], learner.login.name)

    await desk("--fresh", "outline")
    course = await desk.write("course", "new", "title=Water", "state=1")
    first = await desk.write("lesson", "new", "title=Wells", f"course={course}", "state=1")
    second = await desk.write("lesson", "new", "title=Springs", f"course={course}", "order=1", f"requires={first}", "state=1")
    await desk.write("section", "new", "title=Digging", "text=By hand, or with a rig.", f"lesson={first}")
    asked = ["title=x", f"lesson={first}"]
    question = await desk.write(
        "question", "new", *asked[1:], "form=0", "prompt=Who digs?", "options=hands,birds", "key=1", "explanation=Hands do."
    )
    exam = await desk.write("question", "new", *asked[1:], "form=4", "prompt=How deep, in metres?", "exam=yes", "order=1")
    await desk("write", "key", exam, "words=12±1")
    assert "there is no lesson 5" in await desk("write", "lesson", second, f"requires={first},5", status=2)
    assert "by way of" in await desk("write", "lesson", first, f"requires={second}", status=2)

    # Days without a network.
    await phone("--fresh", "enrol", course)
    assert "Wells" in await phone("--offline", "next") and "By hand" in await phone("--offline", "read", first)
    assert f"closed: first {first}" in await phone("--offline", "outline")
    assert "a) hands" in await phone("--offline", "ask", first)
    taken = await phone("--offline", "take", first, "a", "12,5 ", status=3)
    assert "1. Not yet right. 0 points." in taken and "2. Kept. The server grades it" in taken
    await phone("--offline", "done", first, status=3)
    assert "once more" not in (await phone("--offline", "next")), "not all of it is graded"

    # Meanwhile the mentor finds that the key was wrong, and revises the lesson.
    await desk("write", "question", question, "key=0")
    await desk("write", "lesson", first, "title=Wells and pumps")

    await phone("--fresh", "outline")
    told = await phone.grades_until(lambda told: "Not graded yet" not in told and "as this device" not in told)
    assert "Who digs? – Right. 100 points." in told and "How deep, in metres? – Right. 100 points." in told
    outline = await phone("--offline", "outline")
    assert "Wells and pumps – done; 2 of 2 questions, 100 points" in outline and "Springs – open" in outline
    assert "next in “Water”" in await phone("--offline", "next")

    # The mentor changes their mind once more: who answered hears that it was the key.
    await desk("write", "question", question, "key=1")
    told = await phone.grades_until(lambda told: "corrected since" in told)
    assert "it had been 100 points. Not yet right. 0 points." in told
    assert "Nothing is wrong here." in await desk("check")


async def test_the_demonstrations_course_fits_together_and_its_learner_has_begun_it(dev: Dev, tmp_path: Path) -> None:
    await make_demo(dev.urls[0])
    await make_demo(dev.urls[0])
    juma = Device(tmp_path / "juma.db", dev.urls[0], JUMA.name, JUMA.password)
    amina = Device(tmp_path / "amina.db", dev.urls[0], AMINA.name, AMINA.password)
    graded = await juma.grades_until(lambda told: told.count("points") == 3 and "as this device" not in told)
    assert "1 of 2 right. 50 points." in graded
    outline = await juma("--offline", "outline")
    assert "Sharing fairly – done; 2 of 2 questions, 100 points" in outline and "How many fit in? – closed: first 112" in outline
    assert (await juma("--offline", "next")).startswith("112  Pieces of the same size – you are through 50 % of it")
    assert "an exam" in await juma("--offline", "ask", "113")
    assert "Nothing is wrong here." in await amina("--fresh", "check")
