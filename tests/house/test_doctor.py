"""The doctor: judges what it sees, finds what is wrong in a real world, and never fails because the world does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio

from gateway.tokens import load_or_generate_pem
from persistence.bridge import Bridge, BridgeOptions
from supervisors.doctor import (
    DatabaseSeen,
    Finding,
    RedisSeen,
    examine,
    exit_status,
    judge_clock,
    judge_database,
    judge_descriptors,
    judge_private_file,
    judge_push_seals,
    judge_redis,
    judge_sandbox,
    judge_seals,
    judge_webhooks,
    render,
)
from supervisors.embedded_postgres import Postgres
from supervisors.settings import Database, Gates, Redis, Secret, Settings, Tokens, Webhooks
from tests.fixtures_postgres import (  # noqa: F401 (fixtures)
    database,
    empty_database,
    postgres_server,
    postgres_template,
)
from tests.fixtures_valkey import TestValkey, valkey, valkey_server  # noqa: F401 (fixtures)

DATABASE = DatabaseSeen(180_006, "on", "on", "on", False, 60, 0.0, 0.001)
REDIS = RedisSeen("valkey", (9, 1, 2), True, False, "allkeys-lru", 0.0, 0.001)


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: finding.verdict for finding in findings}


async def execute(dsn: str, sql: str) -> None:
    bridge = Bridge(BridgeOptions(dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await bridge.run(lambda connection: connection.execute(sql), deadline_s=30)
        nursery.cancel_scope.cancel()


def only_bad(findings: list[Finding]) -> list[str]:
    assert all(finding.advice for finding in findings if finding.verdict != "ok"), "a complaint without advice"
    return [finding.subject for finding in findings if finding.verdict == "bad"]


# Judging


def test_webhooks_that_reach_this_machine_are_worth_a_look() -> None:
    assert judge_webhooks(Settings()) == []
    [finding] = judge_webhooks(Settings(webhooks=Webhooks(loopback_allowed=True)))
    assert finding.verdict == "look" and finding.advice


@pytest.mark.parametrize(
    ("seen", "verdict"), [("unreached PATH", "ok"), ("reached PATH", "look"), ("killed: ended by signal 6", "bad"), ("[Errno 12]", "bad")]
)
def test_a_sandbox_that_is_none_or_reaches_the_network_is_a_complaint(seen: str, verdict: str) -> None:
    finding = judge_sandbox(seen)
    assert finding.verdict == verdict and bool(finding.advice) is (verdict != "ok")


def test_a_sound_world_has_nothing_to_complain_about() -> None:
    findings = judge_database(DATABASE, Settings()) + judge_redis(REDIS, Settings())
    assert {finding.verdict for finding in findings} == {"ok"}
    assert exit_status(findings) == 0
    assert render(findings).endswith(f"{len(findings)} looked at: all well\n")


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"fsync": "off"}, "fsync"),
        ({"full_page_writes": "off"}, "full_page_writes"),
        ({"synchronous_commit": "off"}, "synchronous_commit"),
        ({"standby": True}, "postgres role"),
        ({"version": 140_010}, "postgres version"),
        ({"connections_max": 5}, "connections"),
        ({"skew_s": -70.0}, "postgres clock"),
    ],
)
def test_a_database_that_would_lose_acknowledged_messages_is_bad(change: dict[str, object], subject: str) -> None:
    findings = judge_database(msgspec.structs.replace(DATABASE, **change), Settings())
    assert only_bad(findings) == [subject]
    assert exit_status(findings) == 1


@pytest.mark.parametrize("level", ["on", "local", "remote_write", "remote_apply"])
def test_every_synchronous_commit_that_waits_for_the_own_disk_is_well(level: str) -> None:
    assert only_bad(judge_database(msgspec.structs.replace(DATABASE, synchronous_commit=level), Settings())) == []


def test_sharded_pubsub_must_exist_where_it_is_set_and_be_set_where_there_is_a_cluster() -> None:
    sharded = Settings(redis=Redis(sharded=True))
    assert verdicts(judge_redis(REDIS, sharded))["sharded pub/sub"] == "ok"
    assert verdicts(judge_redis(msgspec.structs.replace(REDIS, sharded_pubsub=False), sharded))["sharded pub/sub"] == "bad"
    assert verdicts(judge_redis(msgspec.structs.replace(REDIS, cluster=True), Settings()))["sharded pub/sub"] == "look"


def test_an_old_redis_is_bad() -> None:
    old = msgspec.structs.replace(REDIS, product="redis", version=(6, 2, 7))
    assert only_bad(judge_redis(old, Settings())) == ["redis version"]


@pytest.mark.parametrize(
    ("skew_s", "doubt_s", "verdict"),
    [(0.0, 0.0, "ok"), (1.9, 0.0, "ok"), (-2.0, 0.0, "look"), (2.5, 1.0, "ok"), (60.0, 0.0, "bad"), (-3600.0, 5.0, "bad")],
)
def test_a_clock_is_judged_by_what_its_skew_is_at_least(skew_s: float, doubt_s: float, verdict: str) -> None:
    assert judge_clock("clock", skew_s, doubt_s).verdict == verdict


def test_too_few_descriptors_are_bad_and_the_advice_depends_on_who_may_raise_them() -> None:
    settings = Settings(gates=Gates(sockets_max=1000, half_open_max=100))
    assert judge_descriptors(2356, 2356, settings).verdict == "ok"
    assert judge_descriptors(2355, 4096, settings).verdict == "look"
    assert "ulimit -n 2356" in judge_descriptors(2355, 4096, settings).advice
    assert judge_descriptors(1256, 1256, settings).verdict == "look"
    short = judge_descriptors(1255, 1255, settings)
    assert short.verdict == "bad"
    assert "LimitNOFILE" in short.advice
    assert "gates.sockets_max to 16" in short.advice


async def test_inbox_entries_that_were_given_up_are_worth_a_look(database: str) -> None:  # noqa: F811
    run = partial(execute, database)
    await run("insert into outbox (kind, user_id) values (22, 1)")
    settings = Settings(database=Database(dsn=Secret(database)))
    assert verdicts(await examine(settings))["outbox"] == "ok", "one that waits is no complaint"
    await run("update outbox set not_before = 'infinity'")
    (finding,) = [finding for finding in await examine(settings) if finding.subject == "outbox"]
    assert finding.verdict == "look" and finding.seen.startswith("1 ") and "not_before = 'infinity'" in finding.advice


async def test_jobs_that_nobody_does_and_those_that_failed_for_good_are_complaints(database: str) -> None:  # noqa: F811
    run = partial(execute, database)
    settings = Settings(database=Database(dsn=Secret(database)))
    await run("select enqueue_job('k', ''), enqueue_job('k', '', p_delay_s => 60)")
    assert verdicts(await examine(settings))["jobs"] == "ok", "one that waits for a moment is no complaint"
    await run("update jobs set due_at = due_at - interval '1 hour'")
    (finding,) = [finding for finding in await examine(settings) if finding.subject == "jobs"]
    assert finding.verdict == "bad" and "--role jobs" in finding.advice
    await run("insert into job_workers (name, leased_until) values ('w', now() + interval '1 minute')")
    (finding,) = [finding for finding in await examine(settings) if finding.subject == "jobs"]
    assert finding.verdict == "look" and finding.seen.startswith("1 process works")
    assert "dead letters" not in verdicts(await examine(settings))
    await run("select bury_job(id, 1::smallint, 'no') from jobs")
    assert verdicts(await examine(settings))["dead letters"] == "look"


@pytest.mark.parametrize(("mode", "verdict"), [(0o100600, "ok"), (0o100400, "ok"), (0o100640, "bad"), (0o100604, "bad")])
def test_a_private_file_that_others_may_read_is_bad(mode: int, verdict: str) -> None:
    assert judge_private_file("key", mode).verdict == verdict


def test_the_table_says_what_to_do_under_each_complaint() -> None:
    lines = render([Finding("a", "ok", "fine"), Finding("longer", "bad", "broken", "mend it")]).splitlines()
    assert lines == ["ok    a       fine", "BAD   longer  broken", "              → mend it", "2 looked at: 1 bad, 0 worth a look"]


# Looking


async def test_without_settings_it_names_what_is_missing() -> None:
    findings = await examine(Settings())
    assert {"database.dsn", "redis.url", "tokens.key_file"} <= set(only_bad(findings))


async def test_a_living_world_is_seen_as_it_is(database: str, valkey: TestValkey, tmp_path: Path) -> None:  # noqa: F811
    key = tmp_path / "keys.pem"
    load_or_generate_pem(key)
    settings = Settings(
        database=Database(dsn=Secret(database)),
        redis=Redis(url=Secret(valkey.url), sharded=True),
        tokens=Tokens(key_file=str(key)),
        gates=Gates(sockets_max=16, half_open_max=16),
    )
    findings = await examine(settings)
    seen = verdicts(findings)
    # The tests' own server runs without fsync, and the doctor must notice.
    assert only_bad([finding for finding in findings if finding.subject != "file descriptors"]) == ["fsync"]
    assert seen["migrations"] == seen["postgres clock"] == seen["redis clock"] == seen["sharded pub/sub"] == "ok"
    assert seen["outbox"] == "ok"
    assert seen["token keys"] == seen["token key file"] == "ok"
    assert seen["sandbox"] in ("ok", "look"), "there is one; whether it has a network of its own is the kernel's to say"


async def test_pending_migrations_are_named(empty_database: str) -> None:  # noqa: F811
    findings = await examine(Settings(database=Database(dsn=Secret(empty_database))))
    (waiting,) = [finding for finding in findings if finding.subject == "migrations"]
    assert waiting.verdict == "bad"
    assert "0001_" in waiting.seen and "educonnect migrate" in waiting.advice


async def test_servers_that_are_not_there_are_findings_and_show_no_secret(tmp_path: Path, postgres_server: Postgres) -> None:  # noqa: F811
    nowhere = f"{tmp_path}/nowhere.sock"
    settings = Settings(
        database=Database(dsn=Secret(f"postgresql://u:hunter2@/d?host={tmp_path}"), replica_dsn=Secret(postgres_server.dsn)),
        redis=Redis(url=Secret(f"unix://u:hunter2@{nowhere}")),
        tokens=Tokens(key_file=nowhere),
    )
    findings = await examine(settings)
    assert {"postgres", "migrations", "redis", "token keys"} <= set(only_bad(findings))
    assert verdicts(findings)["replica"] == "look"
    assert "hunter2" not in render(findings)


async def test_a_pooler_needs_a_way_around_it_for_migrations() -> None:
    findings = await examine(Settings(database=Database(dsn=Secret("postgresql://nobody@/d?host=/nowhere"), pooler=True)))
    (finding,) = [finding for finding in findings if finding.subject == "migrations"]
    assert "database.direct_dsn" in finding.advice


@pytest.mark.parametrize(
    ("sealed", "verdict"),
    [({}, "ok"), ({"new": 7}, "ok"), ({"new": 7, "old": 1}, "look"), ({"new": 7, "old": 1, "gone": 1}, "bad")],
)
def test_a_key_that_still_seals_something_is_missed_before_it_is_gone(sealed: dict[str, int], verdict: str) -> None:
    assert judge_seals(sealed, ("new", "old")).verdict == verdict


@pytest.mark.parametrize(
    ("sealed", "verdict"),
    [({}, "ok"), ({"new": 7}, "ok"), ({"new": 7, "": 1}, "look"), ({"new": 7, "old": 1}, "look"), ({"": 1, "gone": 1}, "bad")],
)
def test_endpoints_that_are_not_sealed_or_whose_key_is_gone_are_seen(sealed: dict[str, int], verdict: str) -> None:
    assert judge_push_seals(sealed, ("new", "old")).verdict == verdict
