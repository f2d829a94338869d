"""What every implementation of the storage port promises, claimed of each: Postgres, and the model of the simulator."""

from __future__ import annotations

from actors.storage import (
    CONTROL_STREAM,
    Attach,
    Attached,
    Audience,
    CheckAudience,
    Denied,
    Events,
    Head,
    Heads,
    ListSpaces,
    Query,
    ReadAfter,
    ReadBefore,
    ReadHeads,
    Refusal,
    SpaceList,
)
from protocol.codec import TOMBSTONE
from protocol.codes import Code
from protocol.events import AuthorityChanged, Joined, Left, Mentioned, Posted, ReadUpTo, Said, SessionRevoked
from protocol.operations import Delete, Edit, Join, Leave, MarkRead, Post, Remove, Say
from protocol.values import Role, SpaceKind
from tests.conformance.scene import Scene


async def test_what_is_answered_ok_is_in_the_log_under_its_number_and_was_told_once(scene: Scene) -> None:
    general = scene.here.general
    outcomes = [await scene.ask(scene.ann, Say(general, f"{n}")) for n in range(3)]
    assert [(outcome.code, outcome.value) for outcome in outcomes] == [(Code.OK, 1), (Code.OK, 2), (Code.OK, 3)]
    assert await scene.bodies(general) == scene.heard(general) == [Said("0"), Said("1"), Said("2")]


async def test_a_number_takes_effect_once_and_keeps_its_outcome(scene: Scene) -> None:
    general = scene.here.general
    first = await scene.ask(scene.ann, Say(general, "once"))
    again = await scene.ask(scene.ann, Say(general, "once"), number=1)
    other = await scene.ask(scene.ann, Say(general, "twice"), number=1)
    ahead = await scene.ask(scene.ann, Say(general, "later"), number=3)
    assert (first.code, first.replayed, again.code, again.value, again.replayed) == (Code.OK, False, Code.OK, first.value, True)
    assert (other.code, ahead.code) == (Code.NUMBER_REUSED, Code.GAP)
    assert await scene.bodies(general) == [Said("once")]


async def test_a_refusal_consumes_its_number_and_is_told_again_in_its_own_words(scene: Scene) -> None:
    first = await scene.ask(scene.ann, Refusal(Code.INVALID, "text: too long"))
    again = await scene.ask(scene.ann, Refusal(Code.INVALID, "text: too long"), number=1)
    assert (first.code, first.detail, first.replayed) == (Code.INVALID, "text: too long", False)
    assert (again.code, again.detail, again.replayed) == (Code.INVALID, "text: too long", True)
    assert (await scene.ask(scene.ann, Say(scene.here.general, "next"))).code is Code.OK


async def test_outcomes_are_kept_for_256_numbers(scene: Scene) -> None:
    entries = [scene.ann.entry(1, n, Refusal(Code.INVALID, "")) for n in range(1, 301)]
    await scene.place.decide(*entries)
    decided = await scene.place.decide(entries[43], entries[44])
    assert [outcome.code for outcome in decided] == [Code.TOO_OLD, Code.INVALID]


async def test_an_older_socket_and_an_ended_session_say_nothing_any_more(scene: Scene) -> None:
    ann, general = scene.ann, scene.here.general
    [taken] = await scene.place.answer(Attach(ann.session, ann.user, ann.device, 7))
    assert isinstance(taken, Attached) and taken.previous_gateway == 1 and taken.generation == scene.generations[ann.device] + 1
    assert (await scene.ask(ann, Say(general, "older"))).code is Code.TAKEN_OVER
    scene.generations[ann.device], scene.numbers[ann.device] = taken.generation, 0
    assert (await scene.ask(ann, Say(general, "newer"))).code is Code.OK
    await scene.place.revoke(ann)
    assert (await scene.ask(ann, Say(general, "after"))).code is Code.TAKEN_OVER
    assert await scene.place.answer(Attach(ann.session, ann.user, ann.device, 7)) == [Denied(Code.REVOKED)]
    assert scene.heard(CONTROL_STREAM) == [SessionRevoked(ann.user, ann.session)]
    assert await scene.bodies(general) == [Said("newer")]


async def test_who_is_removed_reads_and_writes_no_more_and_everybody_is_told(scene: Scene) -> None:
    ann, bob, here, place = scene.ann, scene.bob, scene.here, scene.place
    before = await scene.read(here.general)
    assert (await scene.ask(ann, Remove(here.space, bob.user))).code is Code.OK
    await place.deliver()
    assert (await scene.ask(bob, Say(here.general, "still here"))).code is Code.NOT_FOUND
    audience, page, spaces = await place.answer(
        CheckAudience(here.general, (ann.user, bob.user)), ReadAfter(here.general, bob.user, 0, 10, 1000), ListSpaces(bob.user)
    )
    assert audience == Audience(before.audience_version + 1, frozenset({ann.user}))
    assert isinstance(page, Denied) and page.code is Code.NOT_FOUND
    assert isinstance(spaces, SpaceList) and [space.kind for space in spaces.spaces] == [SpaceKind.PERSONAL]
    assert scene.heard(here.own) == [Left(bob.user, ann.user)]
    enrolment = await place.enrolment(here.space, bob.user)
    assert scene.heard(CONTROL_STREAM) == [AuthorityChanged(space, bob.user) for space in (here.space, enrolment.space)]


async def test_a_mention_reaches_whoever_may_read_it_once_and_never_oneself(scene: Scene) -> None:
    ann, bob, here = scene.ann, scene.bob, scene.here
    stranger = await scene.arrive("cid")
    inboxes = [len(await scene.bodies(person.inbox)) for person in (ann, bob, stranger)]
    await scene.ask(ann, Post(here.general, "you all", 0, (bob.user, bob.user, ann.user, stranger.user)))
    await scene.place.deliver()
    told = [(await scene.bodies(person.inbox))[n:] for person, n in zip((ann, bob, stranger), inboxes, strict=True)]
    assert told == [[], [Mentioned(here.general, 1, ann.user)], []]


async def test_an_edit_keeps_what_the_message_answers_and_a_deletion_leaves_nothing_to_read(scene: Scene) -> None:
    ann, bob, general = scene.ann, scene.bob, scene.here.general
    await scene.ask(ann, Say(general, "question"))
    await scene.ask(bob, Post(general, "answer", 1))
    assert (await scene.ask(bob, Edit(general, 2, "better"))).code is Code.OK
    assert (await scene.bodies(general))[1] == Posted("better", 1, (), True)
    assert (await scene.ask(bob, Delete(general, 1))).code is Code.FORBIDDEN
    assert (await scene.ask(ann, Delete(general, 2))).code is Code.OK
    rows = (await scene.read(general)).rows
    assert [row.seq for row in rows if row.body == TOMBSTONE] == [2, 3], "the message and the event of its edit"
    assert (await scene.ask(bob, Edit(general, 2, "again"))).code is Code.GONE
    assert (await scene.ask(ann, Edit(general, 2, "mine"))).code is Code.FORBIDDEN


async def test_a_read_marker_never_goes_back(scene: Scene) -> None:
    ann, general = scene.ann, scene.here.general
    for n in range(3):
        await scene.ask(ann, Say(general, f"{n}"))
    values = [(await scene.ask(ann, MarkRead(general, seq))).value for seq in (2, 1, 3)]
    assert values == [2, 2, 3]
    assert scene.heard(ann.inbox) == [ReadUpTo(general, 2), ReadUpTo(general, 3)]
    assert (await scene.ask(ann, MarkRead(general, 4))).code is Code.INVALID


async def test_a_community_keeps_its_last_owner_and_lets_others_come_and_go(scene: Scene) -> None:
    here = scene.here
    assert (await scene.ask(scene.ann, Leave(here.space))).code is Code.CONFLICT
    assert (await scene.ask(scene.bob, Leave(here.space))).code is Code.OK
    back = await scene.ask(scene.bob, Join(here.space))
    twice = await scene.ask(scene.bob, Join(here.space))
    assert (back.code, back.value, twice.code, twice.value) == (Code.OK, here.space, Code.OK, here.space)
    joined = Joined(scene.bob.user, Role.LEARNER, "bob")
    assert scene.heard(here.own) == [Left(scene.bob.user, scene.bob.user), joined]


async def test_a_page_ends_at_either_bound_is_never_empty_and_says_whether_there_is_more(scene: Scene) -> None:
    general = scene.here.general
    for _ in range(4):
        await scene.ask(scene.ann, Say(general, "x" * 100))
    cases: list[tuple[Query, list[int]]] = [
        (ReadAfter(general, scene.ann.user, 0, 100, 1), [1]),
        (ReadAfter(general, scene.ann.user, 0, 100, 250), [1, 2]),
        (ReadAfter(general, scene.ann.user, 0, 3, 10_000), [1, 2, 3]),
        (ReadBefore(general, scene.ann.user, 5, 100, 1), [4]),
        (ReadBefore(general, scene.ann.user, 5, 100, 250), [3, 4]),
        (ReadBefore(general, scene.ann.user, 5, 3, 10_000), [2, 3, 4]),
    ]
    for query, seqs in cases:
        [page] = await scene.place.answer(query)
        assert isinstance(page, Events)
        assert ([row.seq for row in page.rows], page.more, page.head) == (seqs, True, 4)
    [rest] = await scene.place.answer(ReadAfter(general, scene.ann.user, 1, 100, 10_000))
    assert isinstance(rest, Events) and not rest.more and len(rest.rows) == 3


async def test_what_does_not_exist_is_not_found_or_left_out(scene: Scene) -> None:
    nothing = 2**50
    answers = await scene.place.answer(
        ReadAfter(nothing, 0, 0, 1, 1), CheckAudience(nothing, (1,)), ListSpaces(nothing), ReadHeads((nothing, scene.here.general))
    )
    assert [answer.code for answer in answers[:3] if isinstance(answer, Denied)] == [Code.NOT_FOUND] * 3
    assert answers[3] == Heads((Head(scene.here.general, 0, 1),))
