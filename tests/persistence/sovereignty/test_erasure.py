"""Erasure, looked at from the outside: not one word is left in any table, and what is others' is as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import trio

from actors.accounts import Claims, Declined
from actors.integrations import KeySession, NewKey, ServiceInfo
from actors.jobs import Order
from actors.mail import Outgoing, order_mail
from actors.sovereignty import Kind
from actors.storage import CONTROL_STREAM, ReadAfter
from actors.webhooks import Due, Subscription, WebhookInfo, tag_of
from persistence.bridge import Bridge
from persistence.identity.forgotten import ask
from persistence.identity.rules import IdentityRules
from persistence.jobs.enqueue import enqueue
from persistence.keys import PostgresKeys
from persistence.notice_desk import PostgresNotices
from persistence.notice_news import sweep_notices
from persistence.outbox import Outbox
from persistence.sovereignty.archives import PostgresSovereignty
from persistence.sovereignty.erasure import Subject
from persistence.sovereignty.erasures import Erasures
from persistence.sovereignty.ledger import Ledger
from persistence.webhook_deliveries import PostgresDeliveries
from persistence.webhooks import PostgresWebhooks
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.events import Cleared, Left, Posted, Redacted, Renamed, RoleSet, Said, SessionRevoked
from protocol.operations import ChangeSettings, CreateChannel, DropRole, GiveRole, Invite, MakeRole, ReportPerson, Say
from protocol.permissions import BASE, Permission, mask
from protocol.values import ReportReason, Role
from tests.persistence.identity import CALLER
from tests.persistence.sovereignty.places import School, found_school, tables_with
from tests.persistence.sync import Asking
from tests.persistence.world import Person, World, fetch, world


def asking(person: Person) -> Claims:
    return Claims(person.user, person.device, 0, 0, 2**31)


async def make_service(w: World, school: School, role: Role) -> NewKey:
    """A service of the school's, with a key that does all that it may."""
    keys = PostgresKeys(w.bridge, w.herald)
    service = await keys.make_service(asking(school.ada), school.space, "robot", "Robot", role, CALLER)
    assert isinstance(service, ServiceInfo)
    key = await keys.make_key(asking(school.ada), school.space, service.user, "nightly", mask(BASE[role]), 30, CALLER)
    assert isinstance(key, NewKey)
    return key


async def erase(w: World, kind: Kind, id: int, ledger: Ledger | None = None) -> None:
    """Condemns and carries out, as the jobs do, whatever else is condemned by it too."""
    erasures = Erasures(w.bridge, w.herald, ledger)
    assert await erasures.ask(kind, id, 0) is not None
    await carry_out(w, erasures)


async def carry_out(w: World, erasures: Erasures) -> None:
    while open_ := await w.column("select id from erasures where done_at is null order by id"):
        await erasures.carry_out(open_[0])
    await Outbox(w.bridge, w.herald).drain()


async def test_of_an_erased_person_no_word_and_no_name_is_left_anywhere(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        assert len(await tables_with(w, "sunflower")) >= 5
        await erase(w, Kind.PERSON, school.ada.user)
        left = await tables_with(w, "sunflower")
        assert left == {}
        assert await tables_with(w, "buttercup"), "what others wrote stays"
        assert await w.rows("select 1 from accounts where name = 'ada' or display_name ilike '%ada%'") == []


async def test_an_erased_persons_messages_keep_their_numbers_and_everybody_is_told(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        before = len(await w.rows("select 1 from log where stream_id = $1", school.channel))
        await erase(w, Kind.PERSON, school.ada.user)
        rows = await w.rows("select author, body from log where stream_id = $1 order by seq", school.channel)
        bodies = [decode_body(row["body"]) for row in rows]
        assert isinstance(bodies[-1], Cleared) and bodies[-1].author == school.ada.user
        assert len(bodies) == before + 1
        assert [type(body) for row, body in zip(rows, bodies, strict=True) if row["author"] == school.ada.user] == [Redacted] * 3
        assert any(isinstance(body, Posted) and body.text == "buttercup answers" for body in bodies)


async def test_a_community_whose_only_owner_is_erased_goes_on_with_the_moderator(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await erase(w, Kind.PERSON, school.ada.user)
        assert await w.column("select user_id from members where space_id = $1 and role = $2", school.space, Role.OWNER) == [
            school.ben.user
        ]
        told = [decode_body(raw) for raw in await w.column("select body from log where stream_id = $1 order by seq", school.main)]  # type: ignore[arg-type]
        assert [body for body in told if isinstance(body, RoleSet | Renamed | Left)][-3:] == [
            RoleSet(school.ben.user, Role.OWNER),
            Renamed(school.ada.user, "erased"),
            Left(school.ada.user, 0),
        ]
        assert (await w.ask(school.ben, Say(school.channel, "we go on"))).code is Code.OK
        assert (await w.ask(school.ada, Say(school.channel, "I am still here"))).code is not Code.OK


async def test_a_community_is_left_to_a_person_and_not_to_a_service_nor_to_who_cannot_log_in(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await make_service(w, school, Role.MODERATOR)
        await w.rows("update accounts set disabled_at = now() where id = $1", school.ben.user)
        await erase(w, Kind.PERSON, school.ada.user)
        assert await w.column("select user_id from members where space_id = $1 and role = $2", school.space, Role.OWNER) == [
            school.eve.user
        ]


async def test_a_community_of_services_alone_goes_with_its_last_person(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        space, *_ = await w.community(ada)
        service = await PostgresKeys(bridge, w.herald).make_service(asking(ada), space, "robot", "Robot", Role.MODERATOR, CALLER)
        assert isinstance(service, ServiceInfo)
        await erase(w, Kind.PERSON, ada.user)
        assert await w.rows("select 1 from spaces where id = $1", space) == []
        assert await tables_with(w, "robot") == {}


async def test_a_services_key_outlives_the_person_who_made_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        key = await make_service(w, school, Role.LEARNER)
        await erase(w, Kind.PERSON, school.ada.user)
        assert isinstance(await PostgresKeys(bridge, w.herald).exchange(key.secret, 0, "", CALLER), KeySession)


async def test_the_services_of_an_erased_community_end_with_it_and_their_names_go(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        keys = PostgresKeys(bridge, w.herald)
        key = await make_service(w, school, Role.LEARNER)
        opened = await keys.exchange(key.secret, 0, "", CALLER)
        assert isinstance(opened, KeySession)
        erasures = Erasures(bridge, w.herald, None)
        await erasures.ask(Kind.COMMUNITY, school.space, school.ada.user)
        assert isinstance(await keys.exchange(key.secret, 0, "", CALLER), Declined)
        assert await w.rows("select 1 from sessions where id = $1 and revoked_at is null", opened.session) == []
        told = [decode_body(fact.body) for fact in w.herald.facts if fact.stream == CONTROL_STREAM]
        assert SessionRevoked(opened.user, 0) in told
        await carry_out(w, erasures)
        assert await tables_with(w, "robot") == {}


async def test_from_the_moment_of_condemning_no_webhook_is_told_anything_more(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        wanted = Subscription("timetable", "https://hooks.example.org/in", (tag_of(Said),), Role.LEARNER)
        made = await PostgresWebhooks(bridge).make(asking(school.ada), school.space, wanted, b"sealed", CALLER)
        assert isinstance(made, WebhookInfo)
        await w.ok(school.ada, Say(school.channel, "not sent yet"))
        deliveries = PostgresDeliveries(bridge)
        assert isinstance(await deliveries.take(made.id, 0.0), Due)
        await Erasures(bridge, w.herald, None).ask(Kind.COMMUNITY, school.space, school.ada.user)
        assert await deliveries.take(made.id, 60.0) is False


async def test_no_archive_mail_or_dead_letter_keeps_what_was_of_an_erased_person(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        sovereignty = PostgresSovereignty(bridge, Erasures(bridge, w.herald, None))
        archive = await sovereignty.order(Kind.COMMUNITY, school.space, school.ben.user)
        await w.rows("insert into archive_parts (archive_id, place, bytes) values ($1, 0, 'sunflower')", archive.id)
        mail = order_mail(Outgoing("address_changed", school.ada.user, "sunflower@example.org"))
        others = order_mail(Outgoing("address_changed", school.eve.user, "buttercup@example.org"))
        await w.rows("update accounts set email = 'sunflower@example.net', email_verified_at = now() where id = $1", school.ada.user)
        for orders in ((mail,), (mail, others)):

            async def order(tx: asyncpg.Connection, orders: tuple[Order, ...] = orders) -> None:
                await enqueue(tx, *orders)
                await ask(tx, "Sunflower@example.net", CALLER, IdentityRules())

            await bridge.run(order, deadline_s=9)
            if others not in orders:
                await w.rows("select bury_job(id, 1::smallint, '') from jobs where kind in ('mail.send', 'identity.reset')")
        assert await w.value("select count(*) from dead_jobs") == 2
        await erase(w, Kind.PERSON, school.ada.user)
        assert await tables_with(w, "sunflower") == {}
        assert set(await tables_with(w, "buttercup@example.org")) == {"jobs"}


async def test_of_an_erased_community_no_row_is_left_and_its_people_hear_that_they_left(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, other = await found_school(w), await found_school(w, "2")
        await Outbox(w.bridge, w.herald).drain()
        heads = await w.rows("select id, head from streams where space_id = $1 order by id", other.space)
        await erase(w, Kind.COMMUNITY, school.space)
        assert await w.rows("select 1 from spaces where id = $1 or parent = $1", school.space) == []
        assert await w.rows("select 1 from log where stream_id in ($1, $2)", school.main, school.channel) == []
        assert await w.rows("select id, head from streams where space_id = $1 order by id", other.space) == heads
        for person in (school.ada, school.ben, school.eve):
            bodies = [decode_body(raw) for raw in await w.column("select body from log where stream_id = $1 order by seq", person.inbox)]  # type: ignore[arg-type]
            assert type(bodies[-1]).__name__ == "SpaceLeft"
        assert (await w.ask(school.ben, Say(school.channel, "anybody?"))).code is Code.NOT_FOUND


async def test_of_an_erased_community_no_name_that_it_gave_is_left_anywhere(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        outsider = await w.person("zoe")
        await w.ok(school.ada, ChangeSettings(school.space, "Marigold school", True, "{}"))
        await w.ok(school.ada, CreateChannel(school.space, "marigold", 3, 3))
        await w.ok(school.ben, ReportPerson(school.eve.user, ReportReason.SPAM, "marigold thief", school.space))
        for dropped in (False, True):
            role = await w.ok(school.ada, MakeRole(school.space, f"marigold {dropped}", 1 << Permission.MODERATE))
            await w.ok(school.ada, GiveRole(school.space, role, school.eve.user))
            if dropped:
                await w.ok(school.ada, DropRole(school.space, role))
        await w.ok(school.ada, Invite(school.space, outsider.user, Role.LEARNER))
        await Outbox(w.bridge, w.herald).drain()
        await erase(w, Kind.COMMUNITY, school.space)
        assert await tables_with(w, "marigold") == {}


async def test_from_the_moment_of_condemning_nobody_reads_it_though_its_rows_are_there(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await Erasures(bridge, w.herald, None).ask(Kind.COMMUNITY, school.space, school.ada.user)
        assert await w.rows("select 1 from log where stream_id = $1", school.channel) != []
        asking = Asking(bridge)
        async with trio.open_nursery() as nursery:
            await nursery.start(asking.store.serve)
            answer = await asking(ReadAfter(school.channel, school.ben.user, 0, 10, 1000))
            nursery.cancel_scope.cancel()
        assert getattr(answer, "code", None) is Code.NOT_FOUND, answer
        assert (await w.ask(school.ben, Say(school.channel, "anybody?"))).code is Code.NOT_FOUND


async def test_an_erasure_that_was_killed_after_each_step_ends_as_one_that_was_not(bridge: Bridge) -> None:
    """A job that dies leaves its step; the next one begins there."""

    class Killed(Exception):
        pass

    async with world(bridge) as w:
        school = await found_school(w)
        erasures = Erasures(w.bridge, w.herald, None)
        await erasures.ask(Kind.PERSON, school.ada.user, 0)
        steps = 0

        def die(step: str) -> None:
            nonlocal steps
            steps += 1
            raise Killed

        while open_ := await w.column("select id from erasures where done_at is null"):
            try:
                await erasures.carry_out(open_[0], die)
            except Killed:
                continue
        assert steps > 10
        assert await tables_with(w, "sunflower") == {}


async def test_a_backup_that_is_put_back_is_erased_by_the_list(bridge: Bridge, tmp_path: Path) -> None:
    """The list is outside the database. What was made since under the same number is somebody else, and is left alone."""
    ledger = Ledger(tmp_path / "erasures.ndjson")
    async with world(bridge) as w:
        school = await found_school(w)
        backup = await dump(w, school.space)
        await erase(w, Kind.COMMUNITY, school.space, ledger)
        await put_back(w, backup)
        assert await w.rows("select 1 from spaces where id = $1", school.space) != []
        found = await Erasures(bridge, w.herald, ledger).again()
        assert [(subject.kind, subject.id) for subject in found] == [(Kind.COMMUNITY, school.space)]
        await carry_out(w, Erasures(bridge, w.herald, ledger))
        assert await w.rows("select 1 from spaces where id = $1", school.space) == []
        await put_back(w, [(school.space, "another", True)])
        assert await Erasures(bridge, w.herald, ledger).again() == []


async def dump(w: World, space: int) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await fetch(w.bridge, "select id, name, created_at from spaces where id = $1", space)]


async def put_back(w: World, rows: list[tuple[object, ...]]) -> None:
    """As a restore does: the row is there as it was, and the database has forgotten that it was erased."""
    await fetch(w.bridge, "delete from erasures")
    for id, name, born in rows:
        await fetch(
            w.bridge,
            "insert into spaces (id, kind, name, created_by, created_at) values ($1, 1, $2, 0, coalesce($3, now()))",
            id,
            name,
            None if born is True else born,
        )


def test_a_line_that_a_crash_cut_short_is_passed_over_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "erasures.ndjson"
    ledger, now = Ledger(path), datetime.now(UTC)
    one, two = Subject(Kind.PERSON, 1, now), Subject(Kind.COMMUNITY, 1, now)
    ledger.append(one, now)
    whole = path.read_bytes()
    ledger.append(two, now)
    for cut in range(len(whole), len(path.read_bytes())):
        path.write_bytes((whole + b"\n" + whole)[:cut])
        ledger.append(two, now)
        ledger.append(two, now)
        assert {line.of for line in ledger.read()} == {one, two}
        assert sum(line.of == two for line in ledger.read()) == 1


async def test_an_unsubscribe_link_that_is_clicked_after_the_erasure_writes_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = await w.person("ada"), await w.person("ben")
        desk = PostgresNotices(bridge, w.herald, lambda: 0.0)
        await erase(w, Kind.PERSON, ada.user)
        await w.rows("update accounts set disabled_at = now() where id = $1", ben.user)
        for person in (ada, ben):
            await desk.unsubscribe_mail(person.user, -1)
        # Who is suspended may say so; who was erased is nobody.
        assert await w.column("select user_id from notice_settings") == [ben.user]


async def test_the_name_goes_from_the_inbox_of_who_was_invited_long_ago_and_never_came_in(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, zoe = await w.person("ada"), await w.person("zoe")
        space, _, _ = await w.community(ada)
        await w.ok(ada, ChangeSettings(space, "marigold school", True, "{}"))
        await w.ok(ada, Invite(space, zoe.user, Role.LEARNER))
        await Outbox(w.bridge, w.herald).drain()
        await w.rows("update notices set at = now() - interval '91 days'")
        assert await bridge.run(sweep_notices, deadline_s=9) == 1 and await w.rows("select from notices") == []
        assert list(await tables_with(w, "marigold")) != []
        await erase(w, Kind.COMMUNITY, space)
        assert await tables_with(w, "marigold") == {}


async def test_of_who_was_told_from_outside_nothing_is_left_when_they_are_erased(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, zoe = await w.person("ada"), await w.person("zoe")
        space, _, _ = await w.community(ada)
        await w.ok(ada, Invite(space, zoe.user, Role.LEARNER))
        await Outbox(w.bridge, w.herald).drain()
        await w.rows("update notices set at = now() - interval '91 days'")
        await bridge.run(sweep_notices, deadline_s=9)
        assert await w.column("select user_id from told_outside") == [zoe.user]
        await erase(w, Kind.PERSON, zoe.user)
        assert await w.rows("select from told_outside") == []
