"""Names and words that are no event of a judged stream, on a real Postgres: who signs up, who joins, who is called otherwise, and what is
said of mentorships."""

from __future__ import annotations

from actors.accounts import Caller, Opened, Registration
from actors.inference import Why
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.outbox import Outbox
from protocol.entities import COVER
from protocol.events import ChannelChanged, MentorshipNoted, MentorshipSaidOver, SettingsChanged
from protocol.operations import (
    AnswerMentorship,
    ChangeSettings,
    CreateChannel,
    CreateCommunity,
    DecideHeld,
    EndMentorship,
    Join,
    OpenConversation,
    ProposeMentorship,
    Rename,
)
from protocol.values import HeldState, Role
from tests.persistence.mentoring import mentor
from tests.persistence.moderation.scene import FakeModels, bodies, come, moderated, reviewer, until
from tests.persistence.world import World, fetch

LOOKED_THROUGH = (
    "select from moderation_cursors c join streams s on s.id = c.stream_id where s.space_id = any($1) and s.kind = 2 and c.upto >= s.head"
)
SAID = "select id, author, state, review_id from held where form = 3 and entity = 0 and state <> 1 order by id"
NAMES = "select id, author, state, review_id, space_id, target, body from held where form = 4 and state <> 1 order by id"


async def register(bridge: Bridge, w: World, name: str, shown: str) -> int:
    opened = await PostgresAccounts(bridge, w.herald).register(Registration(name, shown, "x", "phone"), Caller("192.0.2.1", "a test"))
    assert isinstance(opened, Opened), opened
    return opened.user


async def test_the_name_that_somebody_signs_up_with_is_judged_and_what_is_harmless_leaves_no_row(bridge: Bridge) -> None:
    models = FakeModels(Why.AWAY)
    async with moderated(bridge, models) as (w, moderator):
        fine = await register(bridge, w, "finn", "Finn")
        foul = await register(bridge, w, "frieda", "a foul name")
        odd = await register(bridge, w, "hm1", "Hanna")
        await come(lambda: moderator.stats.put_off >= 4)
        assert await fetch(bridge, "select from held where told") == [], "while no model answers, staff hear nothing of it"
        models.why = None
        hidden, held = await until(bridge, NAMES, count=2)
        assert (hidden["author"], hidden["state"], hidden["target"]) == (foul, HeldState.HIDDEN, foul)
        assert (held["author"], held["state"], held["target"]) == (odd, HeldState.WAITING, 0), "what one logs in by is a person's to decide"
        assert await w.value("select display_name from accounts where id = $1", foul) == f"member {foul}"
        assert await w.value("select display_name from accounts where id = $1", odd) == "Hanna"
        await until(bridge, "select from (select count(*) as n from held where state = 1) q where n = 0")
        assert await fetch(bridge, "select from held where author = $1", fine) == []


async def test_the_names_of_who_joins_and_of_the_community_are_judged_there(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, hm = await w.person("ann"), await w.person("hm")
        await fetch(bridge, "update accounts set display_name = $2 where id = $1", hm.user, "hm")
        space = await w.ok(ann, CreateCommunity("a hm place"))
        await w.ok(hm, Join(space))
        place, person = await until(bridge, NAMES, count=2)
        assert (place["author"], place["target"], place["review_id"]) == (ann.user, 0, 0), "staff's own is the platform's to decide"
        assert (person["author"], person["target"], person["review_id"]) == (hm.user, hm.user, space)
        await w.ok(ann, OpenConversation((hm.user,)))
        rows = await until(bridge, NAMES, count=3)
        assert rows[2]["author"] == hm.user, "whoever brings them together, a name is its owner's"


async def test_a_name_is_judged_once_in_each_community_and_its_owner_is_told_once(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, cid, ben = [await w.person(name) for name in ("ann", "cid", "ben")]
        one, _, _ = await w.community(ann, ben)
        other, _, _ = await w.community(cid, ben)
        for _ in range(2):
            await w.ok(ben, Rename("hm"))
            await Outbox(bridge, w.herald).drain()
            await until(bridge, LOOKED_THROUGH, [one, other], count=2)
            await w.ok(ben, Rename("Ben"))
            await Outbox(bridge, w.herald).drain()
            await until(bridge, LOOKED_THROUGH, [one, other], count=2)
        rows = await fetch(bridge, NAMES)
        assert {(row["author"], row["review_id"]) for row in rows} == {(ben.user, one), (ben.user, other)} and len(rows) == 2
        assert len(await fetch(bridge, "select from outbox where kind = 26 and user_id = $1", ben.user)) == 0
        told = "select from log l join accounts a on a.inbox = l.stream_id where a.id = $1 and l.kind = 26"
        assert len(await fetch(bridge, told, ben.user)) == 1


async def test_a_name_that_is_taken_away_late_takes_nothing_that_somebody_chose_since(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, cid, ben = [await w.person(name) for name in ("ann", "cid", "ben")]
        one, _, _ = await w.community(ann, ben)
        await w.community(cid, ben)
        await w.ok(ben, Rename("hm"))
        await Outbox(bridge, w.herald).drain()
        first, second = await until(bridge, NAMES, count=2)
        await w.ok(ben, Rename("Benjamin"))
        await w.ok(ann if first["review_id"] == one else cid, DecideHeld(first["id"], False))
        assert await w.value("select display_name from accounts where id = $1", ben.user) == "Benjamin"
        [row] = await fetch(bridge, "select state from held where id = $1", second["id"])
        assert row["state"] == HeldState.LAPSED, "there is nothing left to decide elsewhere"


async def test_a_community_that_is_called_harmful_keeps_its_name_until_a_person_has_decided_and_is_told_so(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        await w.ok(ann, ChangeSettings(space, "a foul place", True, "{}"))
        [row] = await until(bridge, NAMES)
        assert row["state"] == HeldState.WAITING
        [told] = await until(bridge, "select payload from outbox where kind = 26 and user_id = $1", ann.user)
        assert b"until then it stands" in told["payload"]


async def test_words_of_a_mentorship_are_covered_for_both_where_they_do_harm_and_come_back_if_a_person_says_so(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, max_, rev = await w.person("ann"), await mentor(w, "max"), await w.person("rev")
        await reviewer(bridge, rev.user)

        async def words() -> list[str]:
            [row] = await fetch(bridge, "select subject, words, said from mentorships")
            return list(row)

        async def told(inbox: int) -> list[str]:
            await Outbox(bridge, w.herald).drain()
            return [body.words for body in await bodies(bridge, inbox) if isinstance(body, MentorshipNoted)]

        asked = await w.ok(ann, ProposeMentorship(max_.user, 0, "Algebra", "you foul one"))
        [row] = await until(bridge, SAID, count=1)
        assert (row["author"], row["state"], row["review_id"]) == (ann.user, HeldState.HIDDEN, 0)
        assert await words() == [COVER, COVER, COVER]
        assert set(await told(max_.inbox)) == {COVER}
        await w.ok(rev, DecideHeld(row["id"], True))
        assert await words() == ["Algebra", "you foul one", "you foul one"]
        assert (await told(max_.inbox))[-1] == "you foul one"
        await w.ok(max_, AnswerMentorship(asked, True, "a foul answer"))
        await until(bridge, SAID, count=2)
        assert await words() == ["Algebra", "you foul one", COVER]
        await w.ok(ann, EndMentorship(asked, True, 5, "a foul end"))
        await told(max_.inbox)
        [*_, row] = await until(bridge, SAID, count=3)
        assert await words() == ["Algebra", "you foul one", COVER]
        assert "a foul end" not in await told(max_.inbox)
        [records] = await w.column("select records from mentorships")
        assert [body.words for body in await bodies(bridge, records) if isinstance(body, MentorshipSaidOver)] == [COVER]
        await w.ok(max_, EndMentorship(asked, True, 5, "thanks"))
        await until(bridge, "select from (select count(*) as n from held where state = 1) q where n = 0")
        assert (await words())[2] == "thanks"
        await w.ok(rev, DecideHeld(row["id"], True))
        assert (await words())[2] == "thanks", "what was said since stands"


async def test_words_of_a_proposal_that_was_answered_are_covered_without_a_word_of_the_answer(bridge: Bridge) -> None:
    models = FakeModels(Why.AWAY)
    async with moderated(bridge, models) as (w, moderator):
        ann, max_ = await w.person("ann"), await mentor(w, "max")
        asked = await w.ok(ann, ProposeMentorship(max_.user, 0, "Algebra", "a foul word"))
        await w.ok(max_, AnswerMentorship(asked, False, "a foul word"))
        await come(lambda: moderator.stats.put_off >= 2)
        await fetch(bridge, "delete from held where author = $1", max_.user)
        models.why = None
        await until(bridge, SAID)
        [row] = await fetch(bridge, "select words, said from mentorships")
        assert tuple(row) == (COVER, "a foul word")


async def test_the_name_of_a_community_or_a_channel_that_a_person_turned_down_is_gone(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, rev = await w.person("ann"), await w.person("rev")
        await reviewer(bridge, rev.user)
        space, own, _ = await w.community(ann)
        channel = await w.ok(ann, CreateChannel(space, "a bad channel", Role.OWNER, Role.OWNER))
        await w.ok(ann, ChangeSettings(space, "a foul place", True, "{}"))
        for row in await until(bridge, NAMES, count=2):
            await w.ok(rev, DecideHeld(row["id"], False))
        assert await w.value("select name from spaces where id = $1", space) == f"community {space}"
        [row] = await fetch(bridge, "select name, read_roles, write_roles from streams where id = $1", channel)
        assert tuple(row) == (f"channel {channel}", 1, 1)
        said = await bodies(bridge, own)
        assert said[-2:] == [ChannelChanged(channel, f"channel {channel}", 1, 1), SettingsChanged(f"community {space}", True, "{}")]


async def test_a_community_that_has_taken_another_name_since_keeps_it(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, rev = await w.person("ann"), await w.person("rev")
        await reviewer(bridge, rev.user)
        space, _, _ = await w.community(ann)
        await w.ok(ann, ChangeSettings(space, "a foul place", True, "{}"))
        [row] = await until(bridge, NAMES)
        await w.ok(ann, ChangeSettings(space, "a fine place", True, "{}"))
        await w.ok(rev, DecideHeld(row["id"], False))
        assert await w.value("select name from spaces where id = $1", space) == "a fine place"


async def test_a_name_that_was_taken_away_and_is_taken_again_is_taken_away_again(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        await w.community(ann, ben)
        for times in (1, 2):
            await w.ok(ben, Rename("a foul name"))
            await Outbox(bridge, w.herald).drain()
            await until(bridge, NAMES, count=times)
            assert await w.value("select display_name from accounts where id = $1", ben.user) == f"member {ben.user}"
