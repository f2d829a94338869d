"""The journal against a real Postgres: numbers, authority, order, and what happens to what cannot be stored."""

from __future__ import annotations

import pytest

from actors.storage import Decided, Entry, Refusal
from persistence.bridge import Bridge
from persistence.journal import JournalOptions
from persistence.notice_rows import NOBODY
from persistence.operations.hot import OUTCOMES_KEPT
from protocol import codec
from protocol.codes import Code
from protocol.events import Posted, Reacted, ReadUpTo, Said
from protocol.operations import Delete, Edit, MarkRead, Post, React, Rename, Say
from tests.persistence.world import Mailbox, ask, world


async def test_a_post_is_committed_numbered_and_told_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        told_before = len(w.herald.transactions)
        assert await w.ask(bob, Say(channel, "hello")) == Decided(2, Code.OK, 1, generation=1)
        [row] = await w.rows("select seq, author, kind, body from log where stream_id = $1", channel)
        assert tuple(row) == (1, bob.user, 1, codec.encode(Said("hello")))
        [[fact]] = w.herald.transactions[told_before:]
        assert (fact.stream, fact.seq, fact.author, fact.body) == (channel, 1, bob.user, row["body"])


async def test_a_retried_mutation_takes_effect_once_and_is_not_told_again(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        first = await w.ask(ann, Say(channel, "once"))
        told = len(w.herald.facts)
        again = await w.ask(ann, Say(channel, "once"), number=first.number)
        assert again == Decided(first.number, Code.OK, first.value, replayed=True, generation=1)
        assert len(w.herald.facts) == told
        assert await w.value("select head from streams where id = $1", channel) == 1


async def test_a_retried_operation_of_the_slow_path_takes_effect_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        target = await w.ok(ann, Say(channel, "first"))
        edited = await w.ask(ann, Edit(channel, target, "second"))
        again = await w.ask(ann, Edit(channel, target, "second"), number=edited.number)
        assert again == Decided(edited.number, Code.OK, edited.value, replayed=True, generation=1)
        assert await w.value("select head from streams where id = $1", channel) == 2


async def test_the_same_number_with_another_payload_is_refused(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        first = await w.ask(ann, Say(channel, "one thing"))
        assert (await w.ask(ann, Say(channel, "another"), number=first.number)).code is Code.NUMBER_REUSED
        assert (await w.ask(ann, Rename("Another"), number=first.number)).code is Code.NUMBER_REUSED


async def test_a_gap_is_refused_and_consumes_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        for operation in (Say(channel, "later"), Rename("Later")):
            assert (await w.ask(ann, operation, number=ann.number + 2)).code is Code.GAP
        assert (await w.ask(ann, Say(channel, "now"))).code is Code.OK


async def test_the_ring_answers_for_256_outcomes_and_older_ones_are_too_old(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        replies: Mailbox[Decided] = Mailbox()
        entries = [ann.entry(Say(channel, f"number {n}")) for n in range(OUTCOMES_KEPT + 10)]
        for entry in entries:
            assert w.journal.submit(entry, replies)
        assert {decided.code for decided in await replies.wait(len(entries))} == {Code.OK}
        oldest_kept = entries[-OUTCOMES_KEPT]
        kept = await ask(w.journal, oldest_kept)
        assert kept.replayed and kept.value == entries.index(oldest_kept) + 1
        assert (await ask(w.journal, entries[-OUTCOMES_KEPT - 1])).code is Code.TOO_OLD
        assert await w.value("select count(*) from outcomes where device_id = $1", ann.device) == OUTCOMES_KEPT


async def test_a_refused_mutation_consumes_its_number_and_is_remembered(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        _, _, channel = await w.community(ann)
        refused = await w.ask(eve, Say(channel, "let me in"))
        assert (refused.number, refused.code, refused.replayed) == (1, Code.NOT_FOUND, False)
        again = await w.ask(eve, Say(channel, "let me in"), number=1)
        assert (again.code, again.replayed) == (Code.NOT_FOUND, True)
        unread = await w.ask(eve, Refusal(Code.UNKNOWN, "no such\0operation"))
        assert (unread.number, unread.code, unread.detail) == (2, Code.UNKNOWN, "no such�operation")


async def test_another_generation_or_another_persons_device_is_taken_over(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        _, _, channel = await w.community(ann)
        stolen = Entry(eve.user, ann.device, ann.generation, ann.number + 1, 0, Say(channel, "not mine"))
        assert (await ask(w.journal, stolen)).code is Code.TAKEN_OVER
        await w.rows("update devices set generation = 2 where id = $1", ann.device)
        for operation in (Say(channel, "stale"), Rename("Stale")):
            assert (await w.ask(ann, operation, number=ann.number + 1)).code is Code.TAKEN_OVER
        assert await w.value("select head from streams where id = $1", channel) == 0


async def test_batches_keep_the_order_of_each_device_across_both_paths(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        replies: Mailbox[Decided] = Mailbox()
        for n in range(20):
            for person in (ann, bob):
                w.journal.submit(person.entry(Say(channel, f"{person.name} {n}")), replies)
                w.journal.submit(person.entry(Rename(f"{person.name} the {n}th")), replies)
        decided = await replies.wait(80)
        assert {d.code for d in decided} == {Code.OK}
        for person in (ann, bob):
            texts = await w.column("select body from log where stream_id = $1 and author = $2 order by seq", channel, person.user)
            assert texts == [codec.encode(Said(f"{person.name} {n}")) for n in range(20)]


async def test_reactions_need_a_message(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, own, channel = await w.community(ann)
        target = await w.ok(ann, Say(channel, "nice"))
        reaction = await w.ok(ann, React(channel, target, "👍"))
        [row] = await w.rows("select body, target from log where stream_id = $1 and seq = $2", channel, reaction)
        assert tuple(row) == (codec.encode(Reacted(target, "👍", True)), target)
        assert (await w.ask(ann, React(channel, reaction, "👍"))).code is Code.NOT_FOUND
        assert (await w.ask(ann, React(channel, 99, "👍"))).code is Code.NOT_FOUND
        assert (await w.ask(ann, React(own, 1, "👍"))).code is Code.FORBIDDEN
        await w.ok(ann, Delete(channel, target))
        assert (await w.ask(ann, React(channel, target, "👍"))).code is Code.GONE


async def test_answers_and_mentions_stand_in_the_event_and_in_the_outbox(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        fillings = w.outbox_fillings
        await w.rows("delete from outbox")
        first = await w.ok(ann, Say(channel, "who?"))
        post = Post(channel, "you", reply_to=first, mentions=(bob.user, bob.user, ann.user))
        seq = await w.ok(ann, post)
        assert await w.value("select body from log where stream_id = $1 and seq = $2", channel, seq) == codec.encode(
            Posted("you", first, post.mentions)
        )
        rows = await w.rows("select kind, user_id, stream_id, seq, author from outbox order by user_id")
        # Whom it answers is found out when it is delivered.
        assert [tuple(row) for row in rows] == [(22, NOBODY, channel, seq, ann.user), (22, bob.user, channel, seq, ann.user)]
        assert w.outbox_fillings == fillings + 1
        assert (await w.ask(ann, Post(channel, "to nothing", reply_to=99))).code is Code.NOT_FOUND


async def test_a_read_marker_only_moves_forward_and_the_inbox_hears_of_moves_alone(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        _, _, channel = await w.community(ann, bob)
        for n in range(5):
            await w.ok(ann, Say(channel, f"{n}"))
        replies: Mailbox[Decided] = Mailbox()
        # In one batch: forward, back, the same again, forward, beyond the head, and somebody who may not.
        for seq in (2, 1, 2, 4, 6):
            w.journal.submit(bob.entry(MarkRead(channel, seq)), replies)
        w.journal.submit(eve.entry(MarkRead(channel, 1)), replies)
        decided = await replies.wait(6)
        assert [(d.code, d.value) for d in decided[:4]] == [(Code.OK, 2), (Code.OK, 2), (Code.OK, 2), (Code.OK, 4)]
        assert [d.code for d in decided[4:]] == [Code.INVALID, Code.NOT_FOUND]
        assert await w.ok(bob, MarkRead(channel, 3)) == 4
        bodies = await w.column("select body from log where stream_id = $1 order by seq", bob.inbox)
        assert bodies == [codec.encode(ReadUpTo(channel, seq)) for seq in (2, 4)]
        assert await w.column("select seq from read_markers where user_id = $1", bob.user) == [4]
        assert [fact.stream for fact in w.herald.facts if fact.author == bob.user][-2:] == [bob.inbox] * 2


@pytest.mark.parametrize("at", [0, 1, 7])
async def test_a_poisoned_entry_is_refused_alone_and_blocks_nothing(bridge: Bridge, at: int) -> None:
    # The test's own poison: the schema is made to refuse one text. (A real one: a corrupt page.)
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        poison = codec.encode(Said("poison"))
        await w.rows(f"alter table log add constraint antidote check (body <> '\\x{poison.hex()}'::bytea)")
        replies: Mailbox[Decided] = Mailbox()
        for n in range(8):
            w.journal.submit(ann.entry(Say(channel, "poison" if n == at else f"{n}")), replies)
        decided = sorted(await replies.wait(8), key=lambda d: d.number)
        assert [d.code for d in decided] == [Code.INVALID if n == at else Code.OK for n in range(8)]
        assert [d.value for d in decided if d.code is Code.OK] == list(range(1, 8))
        again = await w.ask(ann, Say(channel, "poison"), number=decided[at].number)
        assert (again.code, again.replayed) == (Code.INVALID, True)


async def test_a_name_that_the_database_cannot_hold_is_refused_and_consumes_its_number(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        assert (await w.ask(ann, Rename("a\0b"))).code is Code.INVALID
        assert (await w.ask(ann, Rename("ab"))).code is Code.OK


async def test_entries_of_the_server_itself_carry_no_number(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, own, channel = await w.community(ann)
        assert (await ask(w.journal, Entry(0, 0, 0, 0, 0, Say(channel, "maintenance")))).code is Code.OK
        # Without a device a person's authority still counts.
        assert (await ask(w.journal, Entry(ann.user, 0, 0, 0, 0, Say(own, "no")))).code is Code.FORBIDDEN


async def test_the_bound_is_told_at_once_and_nothing_queued_is_left_unanswered(bridge: Bridge) -> None:
    replies: Mailbox[Decided] = Mailbox()
    async with world(bridge, JournalOptions(items_max=3)) as w:
        ann = await w.person("ann")
        taken = [w.journal.submit(ann.entry(Say(99, "x")), replies) for _ in range(5)]
        assert taken == [True, True, True, False, False]
    assert [d.code for d in replies.told] == [Code.UNAVAILABLE] * 3
    assert not w.journal.submit(ann.entry(Say(99, "x")), replies)
