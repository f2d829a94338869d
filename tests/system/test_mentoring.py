"""Mentorships through a whole gateway: found over the socket and HTTP, asked, answered, ended; also where a model is slow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trio

from actors.inference import Answer, AnyRequest, Match, Matched, Matches, Unanswered
from actors.trust_gates import Thresholds
from client import MutationRefused, RequestFailed, Session, connect
from client.mentors import mentors
from client.mentors_view import found_lines, mentorship_lines
from persistence.mentoring.settling import settle_mentors
from protocol.codes import Code
from protocol.entities import Entity
from protocol.events import MentorshipNoted
from protocol.frames import Event
from protocol.operations import Block, Say
from protocol.values import MentorshipState, Role
from supervisors.settings import Matching
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.persistence.world import fetch
from tests.system.inside import Inside, gateways, settings_for
from tests.system.running import PASSWORD, community, register

__all__ = ["database", "postgres_server", "postgres_template", "valkey", "valkey_server"]


class Slow:
    """A model that knows one mentor, and answers when it is let."""

    def __init__(self, mentor: int) -> None:
        self.mentor = mentor
        self.go = trio.Event()

    async def ask(self, request: AnyRequest, within_s: float, *, key: int = 0) -> Answer:
        assert isinstance(request, Match)
        await self.go.wait()
        found = () if self.mentor in request.without else (Matched(self.mentor, 0.9, (1.0,) * 6, "near"),)
        return Answer(Matches(found, 1, 1), "matching@9")

    def ask_nowait(self, request: AnyRequest, within_s: float, then: Callable[[Answer | Unanswered], None], *, key: int = 0) -> None:
        raise AssertionError("not asked like this")


async def offer(house: Inside, session: Session, trust: float = 0.9) -> None:
    """Says how one mentors, and is trusted."""
    stream = session.sync_streams.find(Entity.MENTORING, 0)
    await session.put(stream, Entity.MENTORING, 1, {1: True, 2: ("Algebra",), 6: 2, 7: "Ask me anything."}).wait()
    await fetch(house.node.bridge, "update accounts set trust = $2 where id = $1", session.user, trust)
    await settle_mentors(house.node.bridge, Thresholds())


async def stands(session: Session, state: MentorshipState) -> MentorshipNoted:
    """Waits until one's inbox says that a mentorship stands so."""
    session.follow(session.inbox, 0)
    with trio.fail_after(20):
        with session.events(session.inbox) as events:
            async for event in events:
                if isinstance(event, Event) and isinstance(event.body, MentorshipNoted) and event.body.state is state:
                    return event.body
    raise AssertionError("the inbox ended")


async def test_a_learner_finds_a_mentor_and_they_work_together_until_both_say_it_is_over(
    database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    settings = settings_for(database, valkey.url, tmp_path, matching=Matching(answer_s=0.3))
    async with gateways(settings, tmp_path) as (house,):
        credentials = await register(house.url)
        async with connect(house.url, await register(house.url)) as mentor, connect(house.url, credentials) as learner:
            await mentor.synced()
            await offer(house, mentor)
            found = await learner.find_mentors("algebra")
            assert [one.user for one in found.mentors] == [mentor.user] and "fixed weights" in found.degraded
            lines = "\n".join(found_lines(found))
            assert "teaches algebra" in lines and "Ask me anything." in lines and "Note: the matching model is away" in lines
            mentorship = await learner.propose(mentor.user, "algebra", "please").wait()
            noted = await stands(mentor, MentorshipState.PROPOSED)
            assert (noted.mentorship, noted.learner, noted.words) == (mentorship, learner.user, "please")
            assert (await learner.find_mentors("algebra")).mentors == (), "asked already"
            assert "asks you" in mentorship_lines((await mentor.mentorships()).mentorships, mentor.user)[0]
            await mentor.answer_proposal(mentorship, True, "gladly").wait()
            await stands(learner, MentorshipState.ACTIVE)
            (item,) = (await learner.mentorships()).mentorships
            await learner.do(Say(item.conversation, "shall we begin?"))
            await learner.synced()
            await learner.put(item.records, Entity.GOAL, 7, {1: "fractions"}).wait()
            headers = {"authorization": f"Bearer {credentials.access_token}"}
            async with httpx.AsyncClient(base_url=house.url, headers=headers, trust_env=False, timeout=20) as http:
                (listed,) = (await http.get("/api/v1/mentorships")).json()["mentorships"]
                assert (listed["mentorship"], listed["state"], listed["conversation"]) == (mentorship, 2, item.conversation)
                refused = await http.post("/api/v1/match", json={"space": 2**40})
                assert refused.status_code == 404
                assert (await http.post("/api/v1/match", json={"limit": 1000})).status_code == 400
                assert (await http.get("/api/v1/match/77")).status_code == 404
            with pytest.raises(RequestFailed) as failed:
                await learner.find_mentors("algebra", space=2**40)
            assert failed.value.code == Code.NOT_FOUND
            await learner.end_mentorship(mentorship, reached=True, rating=5, words="thank you").wait()
            await mentor.end_mentorship(mentorship, reached=True, rating=4).wait()
            await stands(learner, MentorshipState.ENDED)
            with pytest.raises(MutationRefused) as closed:
                await learner.do(Say(item.conversation, "one more thing"))
            assert closed.value.code == Code.FORBIDDEN


async def test_what_takes_long_comes_by_itself_to_the_socket_and_by_its_ticket_over_http(
    database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    settings = settings_for(database, valkey.url, tmp_path, matching=Matching(answer_s=0.2))
    async with gateways(settings, tmp_path) as (house,):
        credentials = await register(house.url)
        async with (
            connect(house.url, await register(house.url)) as mentor,
            connect(house.url, credentials) as learner,
            community(house.url, (mentor, Role.MENTOR), (learner, Role.LEARNER)) as (_, space, _general),
        ):
            await mentor.synced()
            await offer(house, mentor)
            slow = house.node.matchmaker.models = Slow(mentor.user)
            headers = {"authorization": f"Bearer {credentials.access_token}"}
            async with httpx.AsyncClient(base_url=house.url, headers=headers, trust_env=False, timeout=20) as http:
                promised = await http.post("/api/v1/match", json={"subjects": ["algebra"], "space": space})
                assert promised.status_code == 202
                ticket = promised.json()["ticket"]
                assert (await http.get(f"/api/v1/match/{ticket}")).status_code == 202
                stranger = {"authorization": f"Bearer {(await register(house.url)).access_token}"}
                assert (await http.get(f"/api/v1/match/{ticket}", headers=stranger)).status_code == 404

                async def let() -> None:
                    with trio.fail_after(20):
                        while house.node.matchmaker.counts.later < 2:  # noqa: ASYNC110 (a count that somebody raises)
                            await trio.sleep(0.01)
                    slow.go.set()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(let)
                    found = await learner.find_mentors("algebra", space=space)
                assert [(one.user, one.space) for one in found.mentors] == [(mentor.user, space)]
                assert (found.id, found.by, found.degraded) == (0, "matching@9", "") and found.ticket
                with trio.fail_after(20):
                    while (kept := await http.get(f"/api/v1/match/{ticket}")).status_code == 202:  # noqa: ASYNC110 (it is polled)
                        await trio.sleep(0.01)
                assert kept.json()["mentors"][0]["user"] == mentor.user
                await learner.do(Block(mentor.user))
                assert (await learner.find_mentors("algebra", space=space)).mentors == ()
                with pytest.raises(MutationRefused) as refused:
                    await learner.propose(mentor.user, "algebra", space=space).wait()
                assert refused.value.code == Code.BLOCKED
                await house.node.matchmaker.write_showings()
                assert [row[0] for row in await fetch(house.node.bridge, "select mentor from match_shown")] == [mentor.user]


class Device:
    """A store at a terminal, and who uses it."""

    def __init__(self, store: Path, url: str, name: str) -> None:
        self._given = ["--store", str(store), "--url", url, "--name", name, "--password", PASSWORD, "--wait", "20"]

    async def __call__(self, *words: str, status: int = 0) -> str:
        printed: list[str] = []
        ended = await mentors([*self._given, *words], printed.append)
        text = "\n".join([*printed, ""])
        assert ended == status, f"{words}: {ended}\n{text}"
        return text


async def test_all_of_it_is_done_at_a_terminal(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    settings = settings_for(database, valkey.url, tmp_path)
    async with gateways(settings, tmp_path) as (house,):
        ann, ben = Device(tmp_path / "ann.db", house.url, "annie"), Device(tmp_path / "ben.db", house.url, "benny")
        await ann("--register", "--fresh", "list")
        await ann("offer", "open=yes", "subjects=algebra,physics", "capacity=2", "about=Ask me.")
        await fetch(house.node.bridge, "update accounts set trust = 0.9 where name = 'annie'")
        await settle_mentors(house.node.bridge, Thresholds())
        await ben("--register", "--fresh", "list")
        await ben("offer", "--learning", "subjects=physics")
        found = await ben("find")
        assert "teaches physics" in found
        [mentor] = re.findall(r"@annie, (\d+)\)", found)
        await ben("ask", mentor, "physics", "please")
        [mentorship] = re.findall(r"^(\d+)  physics, .* asks you: “please”$", await ann("list"), re.MULTILINE)
        await ann("answer", mentorship, "yes", "gladly")
        assert "mentors you, conversation" in await ben("list")
        assert re.search(r"^goal \d+$", await ben("--fresh", "goal", mentorship, "title=waves"), re.MULTILINE)
        await ann("--fresh", "meet", mentorship, "when=2031-05-01T18:00", "state=1", "where=library")
        await ben("end", mentorship, "reached", "5", "thank you")
        assert "they say it is over" in await ann("list")
        await ann("end", mentorship, "reached", "4")
        assert await ann("list") == "There is none.\n" and "ended" in await ann("list", "--over")
        assert "was refused" in await ben("end", mentorship, "missed", "1", status=1)
