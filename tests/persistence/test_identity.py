"""One's own account against the real Postgres: passwords, addresses, links, devices."""

from __future__ import annotations

from functools import partial

import asyncpg
import msgspec
import pytest
import trio
from msgspec.structs import replace

from actors.accounts import Opened, Registration
from actors.identity import Profile
from actors.mail import Outgoing
from actors.notices import NoticeKind, Way, ways_of
from actors.storage import Generations, ReadGenerations
from gateway.mail.sealing import MailSeals
from gateway.seals import DERIVED_BYTES, Seals
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.device_queries import read_generations
from persistence.identity.forgotten import RESET, Forgotten
from persistence.identity.links import LIVING_MAX
from persistence.identity.own import PostgresIdentity
from persistence.identity.rules import IdentityRules
from persistence.outbox import Outbox
from persistence.sessions import SessionRules
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.events import Noticed
from tests.persistence.identity import (
    CALLER,
    Listening,
    claims,
    code,
    credentials,
    generation,
    let_pass,
    log_in,
    query,
    refresh,
    register,
    stored_text,
)

EMAIL = "ada@example.org"
RULES = IdentityRules(page_url="https://learn.example")
HOUR_S = 3600
SEAL = MailSeals(Seals([bytes(range(DERIVED_BYTES))]))


@pytest.fixture
def herald() -> Listening:
    return Listening()


@pytest.fixture
def accounts(bridge: Bridge, herald: Listening) -> PostgresAccounts:
    return PostgresAccounts(bridge, herald, identity=RULES, seal=SEAL)


@pytest.fixture
def identity(bridge: Bridge, herald: Listening) -> PostgresIdentity:
    return PostgresIdentity(bridge, herald, RULES, seal=SEAL)


async def mails(bridge: Bridge) -> list[Outgoing]:
    """What is on its way, in the order of the orders."""
    rows = await query(bridge, "SELECT payload FROM jobs WHERE kind = 'mail.send' ORDER BY id")
    found = [msgspec.msgpack.decode(row["payload"], type=Outgoing) for row in rows]
    return [replace(mail, values={**mail.values, **opened(mail)}, sealed=b"") for mail in found]


def opened(mail: Outgoing) -> dict[str, str]:
    """What of a mail is sealed."""
    said = SEAL.open(mail.to_user, mail.sealed) if mail.sealed else {}
    assert said is not None
    return said


async def last_code(bridge: Bridge, template: str) -> str:
    return [mail for mail in await mails(bridge) if mail.template == template][-1].values["code"]


async def prove(identity: PostgresIdentity, bridge: Bridge, opened: Opened, email: str = EMAIL) -> None:
    assert await identity.offer_address(claims(opened), email, CALLER) is None
    assert await identity.prove_address(await last_code(bridge, "verify"), CALLER) is None


async def run_resets(identity: PostgresIdentity, bridge: Bridge) -> int:
    """Does what the jobs that were left do; how many found somebody."""
    rows = await query(bridge, "DELETE FROM jobs WHERE kind = $1 RETURNING payload", RESET)
    found = 0
    for row in rows:
        forgotten = msgspec.msgpack.decode(row["payload"], type=Forgotten)
        found += await bridge.run(partial(identity.resets.mail_link, forgotten=forgotten), deadline_s=10)
    return found


async def profile(identity: PostgresIdentity, opened: Opened) -> Profile:
    found = await identity.find_profile(claims(opened))
    assert isinstance(found, Profile)
    return found


async def told(bridge: Bridge, herald: Listening, inbox: int) -> list[str]:
    """The words of every notice in an inbox."""
    await Outbox(bridge, Silent()).drain()
    rows = await query(bridge, "SELECT body FROM log WHERE stream_id = $1 ORDER BY seq", inbox)
    return [body.words for row in rows if isinstance(body := decode_body(row["body"]), Noticed)]


class Silent:
    def committed(self, facts: object) -> None: ...


# Passwords


async def test_another_password_ends_every_session_but_the_one_that_knew_the_old_one(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge, herald: Listening
) -> None:
    mine = await register(accounts)
    other = await log_in(accounts, mine.user)
    generations = [await generation(bridge, opened.device) for opened in (mine, other)]
    assert await identity.change_password(claims(mine), "$argon2id$of ada", "new", CALLER) is None
    assert herald.revoked == [(mine.user, other.session)]
    assert [await generation(bridge, opened.device) for opened in (mine, other)] == [generations[0], generations[1] + 1]
    found = await accounts.find_credentials("ada")
    assert found is not None and found.password_hash == "new"
    await refresh(accounts, mine.refresh_token)
    assert code(await accounts.refresh(other.refresh_token, CALLER)) == Code.REVOKED


async def test_a_password_that_was_changed_while_the_old_one_was_compared_opens_nothing_and_stays(
    accounts: PostgresAccounts, identity: PostgresIdentity
) -> None:
    mine = await register(accounts)
    compared = await credentials(accounts, mine.user)
    assert await identity.change_password(claims(mine), "$argon2id$of ada", "new", CALLER) is None
    answer = await accounts.begin_log_in(compared, 0, "", "the old one, hashed again", CALLER)
    assert code(answer) == Code.UNAUTHENTICATED
    assert (await credentials(accounts, mine.user)).password_hash == "new"
    assert isinstance(await accounts.begin_log_in(await credentials(accounts, mine.user), 0, "", None, CALLER), Opened)


async def test_of_two_log_ins_that_hash_a_password_again_at_once_both_succeed(accounts: PostgresAccounts) -> None:
    mine = await register(accounts)
    compared = await credentials(accounts, mine.user)
    for again in ("hashed again", "and again"):
        assert isinstance(await accounts.begin_log_in(compared, 0, "", again, CALLER), Opened)


async def test_knowing_the_password_neither_replaces_nor_renews_the_proof_by_a_second_factor(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    await query(bridge, "INSERT INTO mfa_totp (user_id, sealed, sealed_by, confirmed_at) VALUES ($1, 'x', 'k', now())", mine.user)
    await query(bridge, "UPDATE sessions SET proven_at = now() - make_interval(secs => $1)", RULES.step_up_s - 60)
    (before,) = await query(bridge, "SELECT proven_at FROM sessions")
    assert await identity.change_password(claims(mine), "$argon2id$of ada", "one", CALLER) is None
    (after,) = await query(bridge, "SELECT proven_at FROM sessions")
    assert after == before
    await query(bridge, "UPDATE sessions SET proven_at = now() - make_interval(secs => $1)", RULES.step_up_s)
    assert code(await identity.change_password(claims(mine), "one", "two", CALLER)) == Code.STEP_UP
    assert code(await identity.offer_address(claims(mine), EMAIL, CALLER)) == Code.STEP_UP
    found = await accounts.find_credentials("ada")
    assert found is not None and found.password_hash == "one"


async def test_of_two_who_change_the_same_password_at_once_one_succeeds(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    answers: list[object] = []

    async def change(new: str) -> None:
        answers.append(await identity.change_password(claims(mine), "$argon2id$of ada", new, CALLER))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change, "one")
        nursery.start_soon(change, "two")
    assert sorted(answer is None for answer in answers) == [False, True]
    assert code(next(answer for answer in answers if answer is not None)) == Code.CONFLICT


async def test_a_session_that_has_ended_changes_nothing(accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge) -> None:
    mine = await register(accounts)
    await accounts.end_every_session(claims(mine), CALLER)
    asker = claims(mine)
    assert code(await identity.change_password(asker, "$argon2id$of ada", "new", CALLER)) == Code.REVOKED
    assert code(await identity.find_profile(asker)) == Code.REVOKED
    assert code(await identity.find_own_credentials(asker)) == Code.REVOKED
    assert code(await identity.offer_address(asker, EMAIL, CALLER)) == Code.REVOKED
    assert code(await identity.withdraw_address(asker, CALLER)) == Code.REVOKED
    assert code(await identity.set_language(asker, "de")) == Code.REVOKED
    assert code(await identity.list_devices(asker)) == Code.REVOKED
    assert code(await identity.rename_device(asker, mine.device, "mine")) == Code.REVOKED
    found = await accounts.find_credentials("ada")
    assert found is not None and found.password_hash == "$argon2id$of ada"


async def test_whose_password_was_changed_is_told_by_one_notice_which_is_also_the_mail(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge, herald: Listening
) -> None:
    mine = await register(accounts)
    await identity.change_password(claims(mine), "$argon2id$of ada", "one", CALLER)
    assert await mails(bridge) == []  # there is no address that they proved
    await prove(identity, bridge, mine)
    await identity.change_password(claims(mine), "one", "two", CALLER)
    assert [mail.template for mail in await mails(bridge)] == ["verify"]
    assert Way.MAIL in ways_of(NoticeKind.SECURITY, 0, 0, ())
    words = await told(bridge, herald, mine.inbox)
    assert words.count("the password of this account was changed") == 2


# Forgotten passwords


@pytest.mark.parametrize("named", ["ada", "ADA", EMAIL, "Ada@Example.org"])
async def test_a_forgotten_password_is_set_anew_by_a_link_to_the_proven_address_once(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge, herald: Listening, named: str
) -> None:
    mine = await register(accounts)
    await prove(identity, bridge, mine)
    await identity.ask_reset(named, CALLER)
    assert await run_resets(identity, bridge) == 1
    mail = (await mails(bridge))[-1]
    assert (mail.template, mail.to_user, mail.address) == ("reset", mine.user, EMAIL)
    secret = mail.values["code"]
    assert mail.values["link"] == f"https://learn.example/#/link/0/password={secret}"
    found = await identity.find_reset(secret)
    assert found is not None and found.user == mine.user and set(found.words) == {"ada", "Ada", EMAIL}
    assert await identity.reset_password(secret, "new", CALLER) is None
    assert herald.revoked == [(mine.user, 0)]
    assert code(await accounts.refresh(mine.refresh_token, CALLER)) == Code.REVOKED
    assert code(await identity.reset_password(secret, "newer", CALLER)) == Code.GONE
    assert await identity.find_reset(secret) is None
    credentials = await accounts.find_credentials("ada")
    assert credentials is not None and credentials.password_hash == "new"


async def test_a_link_that_waits_to_be_mailed_cannot_be_read_in_the_database(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    await prove(identity, bridge, mine)
    await identity.ask_reset("ada", CALLER)
    await run_resets(identity, bridge)
    secrets = [mail.values["code"].encode() for mail in await mails(bridge)]
    assert len(secrets) == 2
    rows = await query(bridge, "SELECT payload FROM jobs WHERE kind = 'mail.send'")
    assert not any(secret in row["payload"] for row in rows for secret in secrets)
    sealed = [msgspec.msgpack.decode(row["payload"], type=Outgoing).sealed for row in rows]
    assert all(SEAL.open(mine.user, one) is not None and SEAL.open(mine.user + 1, one) is None for one in sealed)


async def test_asking_leaves_the_same_rows_whoever_is_named(accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge) -> None:
    mine = await register(accounts)
    await prove(identity, bridge, mine)
    await query(bridge, "DELETE FROM jobs")
    for named in ("ada", "nobody", EMAIL, "nobody@example.org", ""):
        await identity.ask_reset(named, CALLER)
        await identity.ask_reset(named, CALLER)  # while one waits another changes nothing
    rows = await query(bridge, "SELECT kind, priority, state, octet_length(payload) - length($1) > 0 FROM jobs", "")
    assert len(rows) == 5 and len({tuple(row) for row in rows}) == 1
    assert await query(bridge, "SELECT FROM identity_links") == []


async def test_nobody_is_mailed_who_proved_no_address_or_whose_account_is_disabled(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    ada, grace = await register(accounts, "ada"), await register(accounts, "grace")
    await identity.offer_address(claims(ada), EMAIL, CALLER)  # offered, and never proven
    await prove(identity, bridge, grace, "grace@example.org")
    await query(bridge, "UPDATE accounts SET disabled_at = now() WHERE name = 'grace'")
    joan = await register(accounts, "joan")
    await prove(identity, bridge, joan, "joan@example.org")
    await query(bridge, "UPDATE accounts SET email_verified_at = NULL WHERE name = 'joan'")  # its mails came back
    before = await mails(bridge)
    for named in ("ada", EMAIL, "grace", "grace@example.org", "joan", "joan@example.org", "nobody", "nobody@example.org", ""):
        await identity.ask_reset(named, CALLER)
    assert await run_resets(identity, bridge) == 0
    assert await mails(bridge) == before


async def test_of_two_who_use_one_link_at_once_one_succeeds(accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge) -> None:
    mine = await register(accounts)
    await prove(identity, bridge, mine)
    await identity.ask_reset("ada", CALLER)
    await run_resets(identity, bridge)
    secret = await last_code(bridge, "reset")
    answers: list[object] = []

    async def reset(new: str) -> None:
        answers.append(await identity.reset_password(secret, new, CALLER))

    async with trio.open_nursery() as nursery:
        for new in ("one", "two", "three"):
            nursery.start_soon(reset, new)
    assert [code(answer) for answer in answers if answer is not None] == [Code.GONE, Code.GONE]


@pytest.mark.parametrize("event", ["changed", "reset", "address moved", "address withdrawn", "too late"])
async def test_a_link_to_set_a_password_does_not_outlive_what_it_was_given_for(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge, event: str
) -> None:
    mine = await register(accounts)
    await prove(identity, bridge, mine)
    for _ in range(2):
        await identity.ask_reset("ada", CALLER)
        await run_resets(identity, bridge)
    first, second = [mail.values["code"] for mail in await mails(bridge) if mail.template == "reset"]
    match event:
        case "changed":
            await identity.change_password(claims(mine), "$argon2id$of ada", "new", CALLER)
        case "reset":
            await identity.reset_password(second, "new", CALLER)
        case "address moved":
            await prove(identity, bridge, mine, "elsewhere@example.org")
        case "address withdrawn":
            await identity.withdraw_address(claims(mine), CALLER)
        case _:
            await query(bridge, "UPDATE identity_links SET expires_at = now()")
    assert await identity.find_reset(first) is None
    assert code(await identity.reset_password(first, "stolen", CALLER)) == Code.GONE


@pytest.mark.parametrize("secret", ["", "x", "c" * 43, "c" * 42 + "!", "ü" * 43, "c" * 10_000])
async def test_what_is_no_link_of_ours_is_good_for_nothing(identity: PostgresIdentity, secret: str) -> None:
    assert await identity.find_reset(secret) is None
    assert code(await identity.reset_password(secret, "new", CALLER)) == Code.GONE
    assert code(await identity.prove_address(secret, CALLER)) == Code.GONE


async def test_a_link_is_good_for_its_purpose_alone(accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge) -> None:
    mine = await register(accounts)
    await identity.offer_address(claims(mine), EMAIL, CALLER)
    secret = await last_code(bridge, "verify")
    assert await identity.find_reset(secret) is None
    assert code(await identity.reset_password(secret, "new", CALLER)) == Code.GONE
    assert await identity.prove_address(secret, CALLER) is None


async def test_an_account_has_few_links_at_a_time_the_newest(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    for n in range(LIVING_MAX + 2):
        await identity.offer_address(claims(mine), f"a{n}@example.org", CALLER)
    codes = [mail.values["code"] for mail in await mails(bridge)]
    assert code(await identity.prove_address(codes[0], CALLER)) == Code.GONE
    assert (await query(bridge, "SELECT count(*) FROM identity_links"))[0][0] == LIVING_MAX
    assert await identity.prove_address(codes[-1], CALLER) is None


async def test_no_secret_of_a_link_is_stored_but_in_the_mail_that_waits_to_be_sent(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    await prove(identity, bridge, mine)
    await identity.ask_reset("ada", CALLER)
    await run_resets(identity, bridge)
    secrets = [mail.values["code"] for mail in await mails(bridge) if "code" in mail.values]
    assert len(secrets) == 2
    text = await stored_text(bridge) + "".join(row[0] for row in await query(bridge, "SELECT l::text FROM identity_links l"))
    assert not any(secret in text for secret in secrets)


# Addresses


async def test_an_address_is_the_accounts_when_its_link_was_opened_and_not_before(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    await identity.offer_address(claims(mine), EMAIL, CALLER)
    assert ((found := await profile(identity, mine)).email, found.email_pending) == ("", EMAIL)
    (mail,) = await mails(bridge)
    assert (mail.template, mail.to_user, mail.address) == ("verify", mine.user, EMAIL)
    assert mail.values["link"] == f"https://learn.example/#/link/0/address={mail.values['code']}"
    assert await identity.prove_address(mail.values["code"], CALLER) is None
    assert ((found := await profile(identity, mine)).email, found.email_pending) == (EMAIL, "")
    assert code(await identity.prove_address(mail.values["code"], CALLER)) == Code.GONE


async def test_the_proven_address_stands_until_the_next_is_proven_and_is_told_then(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    await prove(identity, bridge, mine)
    await identity.offer_address(claims(mine), "new@example.org", CALLER)
    assert (await profile(identity, mine)).email == EMAIL
    await identity.prove_address(await last_code(bridge, "verify"), CALLER)
    assert (await profile(identity, mine)).email == "new@example.org"
    assert (await mails(bridge))[-1] == Outgoing("address_changed", mine.user, EMAIL)
    await identity.withdraw_address(claims(mine), CALLER)
    assert (await mails(bridge))[-1] == Outgoing("address_changed", mine.user, "new@example.org")
    assert (await profile(identity, mine)).email == ""


async def test_one_address_is_one_accounts_and_only_who_reads_it_learns_that(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    ada, eve = await register(accounts, "ada"), await register(accounts, "eve")
    await prove(identity, bridge, ada)
    # Whoever does not read it is answered as always,
    assert await identity.offer_address(claims(eve), EMAIL.upper(), CALLER) is None
    # and whoever opens the link reads it.
    assert code(await identity.prove_address(await last_code(bridge, "verify"), CALLER)) == Code.CONFLICT
    assert (await profile(identity, eve)).email == ""
    assert (await profile(identity, ada)).email == EMAIL


async def test_of_two_accounts_that_prove_one_address_at_once_one_gets_it(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    people = [await register(accounts, name) for name in ("ada", "eve", "joan")]
    for opened in people:
        await identity.offer_address(claims(opened), EMAIL, CALLER)
    codes = [mail.values["code"] for mail in await mails(bridge)]
    answers: list[object] = []

    async def use(secret: str) -> None:
        answers.append(await identity.prove_address(secret, CALLER))

    async with trio.open_nursery() as nursery:
        for secret in codes:
            nursery.start_soon(use, secret)
    assert [code(answer) for answer in answers if answer is not None] == [Code.CONFLICT, Code.CONFLICT]
    assert len(await query(bridge, "SELECT FROM accounts WHERE email = $1", EMAIL)) == 1


async def test_registering_with_an_address_mails_a_link_and_registering_says_nothing_of_it(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    ada = await register(accounts, "ada")
    await prove(identity, bridge, ada)
    eve = await accounts.register(Registration("eve", "Eve", "hash", "phone", EMAIL, "de"), CALLER)
    assert isinstance(eve, Opened)
    mail = (await mails(bridge))[-1]
    assert (mail.template, mail.to_user, mail.address) == ("verify", eve.user, EMAIL)
    assert (await profile(identity, eve)).language == "de"


async def test_an_address_is_set_only_by_who_proved_themselves_lately(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    copied = await accounts.add_device(claims(mine), "copy", CALLER)
    assert isinstance(copied, Opened)
    # A device that was added on a session's word has proven nothing,
    assert code(await identity.offer_address(claims(copied), EMAIL, CALLER)) == Code.STEP_UP
    assert await identity.offer_address(claims(mine), EMAIL, CALLER) is None
    # a proof grows old, and no refresh makes it young,
    await query(bridge, "UPDATE sessions SET proven_at = proven_at - make_interval(secs => $1)", RULES.step_up_s)
    await refresh(accounts, mine.refresh_token)
    assert code(await identity.offer_address(claims(mine), EMAIL, CALLER)) == Code.STEP_UP
    assert code(await identity.withdraw_address(claims(mine), CALLER)) == Code.STEP_UP
    # but the old password does.
    await identity.change_password(claims(mine), "$argon2id$of ada", "new", CALLER)
    assert await identity.offer_address(claims(mine), EMAIL, CALLER) is None


# Sessions and devices


async def test_a_log_in_on_a_new_device_is_told_and_one_on_a_known_device_is_not(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    mine = await register(accounts)
    assert await told(bridge, herald, mine.inbox) == []
    await accounts.log_in(mine.user, mine.device, "", None, CALLER)
    assert await told(bridge, herald, mine.inbox) == []
    await accounts.log_in(mine.user, 0, "laptop", None, CALLER)
    opened = await accounts.begin_log_in(await credentials(accounts, mine.user), 0, "", None, CALLER)
    assert isinstance(opened, Opened)
    await accounts.add_device(claims(opened), "copy", CALLER)
    words = await told(bridge, herald, mine.inbox)
    assert words == [f"a log-in from a new device: {called}" for called in ("laptop", CALLER.software, "copy")]


async def test_a_comparison_of_generations_knows_an_ended_session_from_another_socket(accounts: PostgresAccounts, bridge: Bridge) -> None:
    mine = await register(accounts)
    other = await log_in(accounts, mine.user)
    asked = [ReadGenerations((mine.device, other.device, 2**40)), ReadGenerations((mine.device,))]

    async def look(tx: asyncpg.Connection) -> list[object]:
        return [result.ended for result in await read_generations(tx, asked) if isinstance(result, Generations)]

    assert await bridge.run(look, deadline_s=10) == [(), ()]
    await query(bridge, "UPDATE devices SET generation = generation + 1")  # other sockets
    assert await bridge.run(look, deadline_s=10) == [(), ()]
    await accounts.end_session(claims(mine), other.session, CALLER)
    assert await bridge.run(look, deadline_s=10) == [(other.device,), ()]
    await log_in(accounts, mine.user, other.device)
    assert await bridge.run(look, deadline_s=10) == [(), ()]


async def test_devices_are_listed_with_their_names_and_what_they_were_last_used_for(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    mine = await register(accounts)
    other = await log_in(accounts, mine.user)
    assert await identity.rename_device(claims(mine), other.device, "laptop") is None
    await accounts.end_session(claims(mine), other.session, CALLER)
    await query(bridge, "UPDATE devices SET seen_at = now() + interval '1 minute' WHERE id = $1", other.device)
    found = await identity.list_devices(claims(mine))
    assert isinstance(found, tuple)
    assert [(info.device, info.name, info.session) for info in found] == [
        (other.device, "laptop", 0),
        (mine.device, "phone", mine.session),
    ]
    assert all((info.address, info.software) == (CALLER.address, CALLER.software) for info in found)
    theirs = await register(accounts, "grace")
    assert code(await identity.rename_device(claims(theirs), mine.device, "hers")) == Code.NOT_FOUND
    assert [info.device for info in await identity.list_devices(claims(theirs))] == [theirs.device]  # type: ignore[union-attr]


async def test_a_session_ends_when_it_was_not_used_for_too_long(bridge: Bridge, herald: Listening) -> None:
    accounts = PostgresAccounts(bridge, herald, SessionRules(refresh_s=HOUR_S, session_s=0))
    opened = await register(accounts)
    for _ in range(50):
        await let_pass(bridge, HOUR_S - 60)
        opened = await refresh(accounts, opened.refresh_token)
    await let_pass(bridge, HOUR_S + 1)
    assert code(await accounts.refresh(opened.refresh_token, CALLER)) == Code.TOKEN_EXPIRED
    state = await accounts.find_session(opened.session)
    assert state is not None and state.ended


async def test_a_session_ends_at_its_absolute_age_however_much_it_is_used(bridge: Bridge, herald: Listening) -> None:
    accounts = PostgresAccounts(bridge, herald, SessionRules(refresh_s=HOUR_S, session_s=3 * HOUR_S))
    opened = await register(accounts)
    (row,) = await query(bridge, "SELECT extract(epoch FROM created_at)::bigint AS at FROM sessions")
    for _ in range(5):
        await query(bridge, "UPDATE sessions SET created_at = created_at - interval '30 minutes'")
        await let_pass(bridge, HOUR_S / 2)
        opened = await refresh(accounts, opened.refresh_token)
        (row,) = await query(bridge, "SELECT extract(epoch FROM created_at)::bigint AS at FROM sessions")
        assert opened.refresh_expires_at <= row["at"] + 3 * HOUR_S + 1
    await query(bridge, "UPDATE sessions SET created_at = created_at - interval '31 minutes'")
    await let_pass(bridge, 31 * 60)
    assert code(await accounts.refresh(opened.refresh_token, CALLER)) == Code.TOKEN_EXPIRED


async def test_a_shorter_absolute_age_holds_for_sessions_that_are_open_already(bridge: Bridge, herald: Listening) -> None:
    opened = await register(PostgresAccounts(bridge, herald))
    await query(bridge, "UPDATE sessions SET created_at = created_at - interval '2 hours'")
    stricter = PostgresAccounts(bridge, herald, SessionRules(session_s=HOUR_S))
    assert code(await stricter.refresh(opened.refresh_token, CALLER)) == Code.TOKEN_EXPIRED


async def test_a_session_has_a_number_of_its_own_that_nobody_brings_along(accounts: PostgresAccounts, bridge: Bridge) -> None:
    """Session fixation: what somebody held before a log-in is worth nothing after it."""
    eve, ada = await register(accounts, "eve"), await register(accounts, "ada")
    # Ada logs in "on" a device, and beside a session, that Eve prepared:
    opened = await log_in(accounts, ada.user, eve.device)
    assert opened.device not in (eve.device, ada.device) and opened.session not in (eve.session, ada.session)
    # and again on her own device: the number and the family are new each time.
    again = await log_in(accounts, ada.user, opened.device)
    assert again.session != opened.session and again.refresh_token != opened.refresh_token
    assert code(await accounts.refresh(opened.refresh_token, CALLER)) == Code.REVOKED
    (families,) = await query(bridge, "SELECT count(DISTINCT family) AS n, count(*) AS tokens FROM refresh_tokens")
    assert families["n"] == families["tokens"] == 4


async def test_links_are_swept_when_their_time_is_over_and_go_with_their_account(
    accounts: PostgresAccounts, identity: PostgresIdentity, bridge: Bridge
) -> None:
    ada, grace = await register(accounts, "ada"), await register(accounts, "grace")
    await identity.offer_address(claims(ada), EMAIL, CALLER)
    await identity.offer_address(claims(grace), "grace@example.org", CALLER)
    assert await accounts.sweep() == 0
    await query(bridge, "UPDATE identity_links SET expires_at = now() - interval '1 second' WHERE user_id = $1", ada.user)
    assert await accounts.sweep() == 1

    async def erase(tx: asyncpg.Connection) -> None:
        await tx.execute("DELETE FROM accounts WHERE id = $1", grace.user)

    await bridge.run(erase, deadline_s=10)
    assert await query(bridge, "SELECT FROM identity_links") == []
