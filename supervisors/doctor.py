"""`educonnect doctor`: looks at what the settings lead to, and says what to do about what is wrong.

    settings ─▶ probes (Postgres, Redis, files, limits; each with a deadline) ─▶ what was seen
                                                                                     │ judge_…: pure
                                                                                     ▼
                                                                    findings ─▶ a table, and an exit status

A probe only looks; what it saw is judged by functions that a test feeds with any world. Nothing here changes anything, so it may run
beside a living system.

Invariant: whatever the world does, `examine` ends within its deadlines and answers with findings, never with an exception of the world's.
"""

from __future__ import annotations

import resource
import ssl
import stat
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

import asyncpg
import outcome
import redis
import trio
from msgspec import Struct

from gateway.push.sealing import PURPOSE as PUSH_PURPOSE
from gateway.seals import DERIVED_BYTES, Seals
from gateway.tokens import CLOCK_SKEW_S, KeySet, KeysRefused, load_pem
from gateway.totp import PURPOSE
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.desk import HEALTH, Health
from persistence.mfa_factors import SEALED
from persistence.migrate import MigrationRefused, pending
from persistence.outbox import GIVEN_UP
from persistence.push_subscriptions import SEALED as SEALED_PUSH
from sandbox.process import SandboxFailed, run_in_sandbox
from supervisors.settings import Settings
from supervisors.settings_source import Fault, missing_for_serving

T = TypeVar("T")
Verdict = Literal["ok", "look", "bad"]

PROBE_S: Final = 10.0
POSTGRES_MIN: Final = 150_000
"""The oldest Postgres that the statements are tested with, as `server_version_num` says it."""
REDIS_MIN: Final = (7, 0)
"""Sharded pub/sub came with Redis 7; Valkey has it from its beginning."""
SKEW_LOOK_S: Final = 2.0
JOBS_LOOK_S: Final = 300.0
"""A job that has been ready for so long should have been begun."""
DESCRIPTORS_SPARE: Final = 256
"""For Postgres, Redis, logs, listeners and the interpreter itself."""


class Finding(Struct, frozen=True):
    """One thing looked at. `advice` says what to do; it is empty only when the verdict is ok."""

    subject: str
    verdict: Verdict
    seen: str
    advice: str = ""


class DatabaseSeen(Struct, frozen=True):
    """What Postgres says of itself. `skew_s`: its clock minus ours, give or take `doubt_s`."""

    version: int
    fsync: str
    synchronous_commit: str
    full_page_writes: str
    standby: bool
    connections_max: int
    skew_s: float
    doubt_s: float


class RedisSeen(Struct, frozen=True):
    """What Redis or Valkey says of itself."""

    product: str
    version: tuple[int, ...]
    sharded_pubsub: bool
    cluster: bool
    eviction: str
    skew_s: float
    doubt_s: float


# Judging what was seen


def judge_database(seen: DatabaseSeen, settings: Settings) -> list[Finding]:
    """Whether a commit on this server is worth an acknowledgement."""
    findings = []
    if seen.version < POSTGRES_MIN:
        findings.append(Finding("postgres version", "bad", _dotted(seen.version), f"install Postgres {_dotted(POSTGRES_MIN)} or newer"))
    else:
        findings.append(Finding("postgres version", "ok", _dotted(seen.version)))
    if seen.standby:
        findings.append(Finding("postgres role", "bad", "a standby", "let database.dsn lead to the primary; a standby takes no writes"))
    else:
        findings.append(Finding("postgres role", "ok", "the primary"))
    for name, found in (("fsync", seen.fsync), ("full_page_writes", seen.full_page_writes)):
        if found == "on":
            findings.append(Finding(name, "ok", found))
        else:
            advice = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf(); a power cut would break acknowledged data"
            findings.append(Finding(name, "bad", found, advice))
    if seen.synchronous_commit == "off":
        advice = "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf(); a crash would lose acknowledged messages"
        findings.append(Finding("synchronous_commit", "bad", "off", advice))
    else:
        findings.append(Finding("synchronous_commit", "ok", seen.synchronous_commit))
    wanted = settings.database.connections_max + 4
    if not settings.database.pooler and seen.connections_max < wanted:
        advice = f"raise max_connections above {wanted} a gateway, or lower database.connections_max, or use a pooler"
        findings.append(Finding("connections", "bad", f"{seen.connections_max} at most", advice))
    else:
        findings.append(Finding("connections", "ok", f"{seen.connections_max} at most, {wanted} a process wanted"))
    findings.append(judge_clock("postgres clock", seen.skew_s, seen.doubt_s))
    return findings


def judge_redis(seen: RedisSeen, settings: Settings) -> list[Finding]:
    """Whether the link between gateways will work as set."""
    shown = f"{seen.product} {'.'.join(map(str, seen.version))}"
    findings = []
    if seen.version < REDIS_MIN and seen.product == "redis":
        findings.append(Finding("redis version", "bad", shown, "install Redis 7 or newer, or Valkey"))
    else:
        findings.append(Finding("redis version", "ok", shown))
    if settings.redis.sharded and not seen.sharded_pubsub:
        findings.append(Finding("sharded pub/sub", "bad", "missing", "set redis.sharded = false, or install a server that has SPUBLISH"))
    elif seen.cluster and not settings.redis.sharded:
        advice = "set redis.sharded = true: plain pub/sub sends every frame to every node of a cluster"
        findings.append(Finding("sharded pub/sub", "look", "a cluster, but not used", advice))
    else:
        findings.append(Finding("sharded pub/sub", "ok", "used" if settings.redis.sharded else "not needed"))
    if seen.eviction == "noeviction":
        advice = "set maxmemory-policy to allkeys-lru: nothing in it is durable, and refusing writes is worse than forgetting"
        findings.append(Finding("redis eviction", "look", seen.eviction, advice))
    else:
        findings.append(Finding("redis eviction", "ok", seen.eviction or "not told"))
    findings.append(judge_clock("redis clock", seen.skew_s, seen.doubt_s))
    return findings


def judge_clock(subject: str, skew_s: float, doubt_s: float) -> Finding:
    """Tokens are refused across machines whose clocks differ by more than a minute."""
    least = max(0.0, abs(skew_s) - doubt_s)
    shown = f"{skew_s:+.2f} s (±{doubt_s:.2f})"
    if least >= CLOCK_SKEW_S:
        return Finding(subject, "bad", shown, f"run NTP on both machines: tokens are refused from {CLOCK_SKEW_S} s on")
    if least >= SKEW_LOOK_S:
        return Finding(subject, "look", shown, "run NTP on both machines: times in messages differ")
    return Finding(subject, "ok", shown)


def judge_descriptors(soft: int, hard: int, settings: Settings) -> Finding:
    """Every socket is a file descriptor. Those that only a flood opens are worth a look; too few for the sockets themselves is bad."""
    gates = settings.gates
    needed = gates.sockets_max + DESCRIPTORS_SPARE
    wanted = needed + gates.half_open_max + settings.http.connections_max
    shown = f"{soft} (hard limit {hard}), {wanted} wanted with every bound reached"
    if soft >= wanted:
        return Finding("file descriptors", "ok", shown)
    how = f"ulimit -n {wanted}" if hard >= wanted else f"LimitNOFILE={wanted} (systemd) or --ulimit nofile={wanted} (containers)"
    advice = f"{how}, or lower gates.sockets_max to {max(16, soft - wanted + gates.sockets_max)}"
    return Finding("file descriptors", "look" if soft >= needed else "bad", shown, advice)


def judge_private_file(subject: str, mode: int) -> Finding:
    """A private key is nobody else's to read."""
    shown = f"mode {stat.S_IMODE(mode):04o}"
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(subject, "bad", shown, "chmod 600 it, and make a new key if somebody may have read this one")
    return Finding(subject, "ok", shown)


def judge_outbox(given_up: int) -> Finding:
    """Whether somebody's inbox waits for a person to look. Such a row was tried twelve times in half an hour."""
    if not given_up:
        return Finding("outbox", "ok", "nothing given up")
    advice = (
        "SELECT * FROM outbox WHERE not_before = 'infinity'; the log's outbox_postponed says why. Mend that and"
        " UPDATE outbox SET not_before = now(), attempts = 0 WHERE not_before = 'infinity', or delete what is of no use any more"
    )
    return Finding("outbox", "look", f"{given_up} inbox entries given up", advice)


def judge_jobs(seen: Health) -> list[Finding]:
    """Whether what was put off is done, and whether some of it waits for a person to look."""
    waits = f"the first has waited for {seen.oldest_s:.0f} s" if seen.ready else "none waits"
    shown = f"{seen.workers} process{' works' if seen.workers == 1 else 'es work'}; {waits}"
    if seen.ready and seen.oldest_s >= JOBS_LOOK_S:
        advice = "educonnect serve --role jobs" if not seen.workers else "educonnect jobs names the kind: what does it depend on?"
        findings = [Finding("jobs", "bad" if not seen.workers else "look", shown, advice)]
    else:
        findings = [Finding("jobs", "ok", shown)]
    if seen.dead:
        advice = "educonnect jobs list --state dead says why; then educonnect jobs retry ID, or cancel ID"
        findings.append(Finding("dead letters", "look", f"{seen.dead} jobs failed for good", advice))
    return findings


def judge_seals(sealed: Mapping[str, int], keys: Sequence[str]) -> Finding:
    """Whether every authenticator app's secret can be read. `sealed`: how many by each key; `keys`: of the file, the sealing one first."""
    lost = sum(count for name, count in sealed.items() if name not in keys)
    waiting = sum(count for name, count in sealed.items() if name in keys[1:])
    if lost:
        advice = "put the missing key back into the key file, behind the first; until then those people need a recovery code or a passkey"
        return Finding("sealed secrets", "bad", f"{lost} whose key is gone", advice)
    if waiting:
        return Finding(
            "sealed secrets", "look", f"{waiting} under an older key", "keep that key in the file until the hourly job has done them"
        )
    return Finding("sealed secrets", "ok", "all under the first key")


def judge_push_seals(sealed: Mapping[str, int], keys: Sequence[str]) -> Finding:
    """Whether every device's endpoint is kept sealed, and can be read. As `judge_seals`; '' are those that are not sealed."""
    lost = sum(count for name, count in sealed.items() if name and name not in keys)
    plain, waiting = sealed.get("", 0), sum(count for name, count in sealed.items() if name in keys[1:])
    if lost:
        advice = "put the missing key back into the key file, behind the first; until then those devices are not pushed to"
        return Finding("sealed subscriptions", "bad", f"{lost} whose key is gone", advice)
    if plain:
        advice = "the hourly job seals them once no process of the version before runs jobs"
        return Finding("sealed subscriptions", "look", f"{plain} not sealed yet", advice)
    if waiting:
        advice = "keep that key in the file until the hourly job has done them"
        return Finding("sealed subscriptions", "look", f"{waiting} under an older key", advice)
    return Finding("sealed subscriptions", "ok", "all under the first key")


def judge_missing(faults: Iterable[Fault]) -> list[Finding]:
    """What `serve` needs and nobody set."""
    return [Finding(fault.name, "bad", "not set", f"set it: {fault.allowed}") for fault in faults]


# Looking


def judge_sandbox(seen: str) -> Finding:
    """Whether what is opened for others is opened apart. `seen`: what a process of the sandbox found around it, or how it failed."""
    if seen.startswith("unreached"):
        return Finding("sandbox", "ok", "processes of their own, without a network")
    if seen.startswith("reached"):
        advice = "let processes make user namespaces where jobs run, or keep that machine from reaching anything but Postgres and Redis"
        return Finding("sandbox", "look", "processes of their own, which reach the network", advice)
    advice = "documents are not compacted and pictures not rendered: let the jobs' process start others, with 1 GiB of address space"
    return Finding("sandbox", "bad", seen[:200], advice)


async def examine(settings: Settings) -> list[Finding]:
    """Looks at everything at once, each within `PROBE_S`. Findings come in a fixed order."""
    probes: list[tuple[str, Callable[[], Awaitable[list[Finding]]]]] = [
        ("settings", partial(_settings, settings)),
        ("files", partial(trio.to_thread.run_sync, _files, settings, abandon_on_cancel=True)),
        ("sandbox", _sandbox),
    ]
    if settings.database.dsn:
        probes.append(("postgres", partial(_database, settings)))
        probes.append(("migrations", partial(_migrations, settings)))
        probes.append(("outbox", partial(_outbox, settings)))
        probes.append(("jobs", partial(_jobs, settings)))
        if settings.tokens.key_file:
            probes.append(("sealed secrets", partial(_sealed, settings)))
            probes.append(("sealed subscriptions", partial(_sealed_push, settings)))
    if settings.database.replica_dsn:
        probes.append(("replica", partial(_replica, settings)))
    if settings.redis.url:
        probes.append(("redis", partial(trio.to_thread.run_sync, _redis, settings, abandon_on_cancel=True)))
    found: dict[str, list[Finding]] = {}

    async def look(name: str, probe: Callable[[], Awaitable[list[Finding]]]) -> None:
        with trio.move_on_after(PROBE_S):
            found[name] = await probe()
            return
        found[name] = [
            Finding(name, "bad", f"no answer within {PROBE_S:g} s", "see whether its address is right and nothing blocks the way")
        ]

    async with trio.open_nursery() as nursery:
        for name, probe in probes:
            nursery.start_soon(look, name, probe)
    return [finding for name, _ in probes for finding in found[name]]


def judge_webhooks(settings: Settings) -> list[Finding]:
    """What lets webhooks reach further than they should, outside development."""
    if not settings.webhooks.loopback_allowed:
        return []
    return [Finding("webhooks", "look", "sent to this machine too", "webhooks.loopback_allowed is for development: unset it")]


async def _settings(settings: Settings) -> list[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    missing = judge_missing(missing_for_serving(settings))
    return [
        *(missing or [Finding("settings", "ok", "complete for serving")]),
        judge_descriptors(soft, hard, settings),
        *judge_webhooks(settings),
    ]


async def _sandbox() -> list[Finding]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        try:
            answer = await run_in_sandbox(
                "trials.surroundings", b"127.0.0.1:%d" % port, seconds=PROBE_S / 2, memory_mib=160, answer_max=4096
            )
        except (SandboxFailed, OSError) as error:
            return [judge_sandbox(str(error))]
    return [judge_sandbox(answer.decode("utf-8", "replace"))]


def _files(settings: Settings) -> list[Finding]:
    findings = []
    if settings.tokens.key_file:
        findings += _key_file(Path(settings.tokens.key_file))
    listen = settings.listen
    if listen.tls_certificate:
        findings += _tls_files(Path(listen.tls_certificate), Path(listen.tls_key))
    return findings


def _key_file(path: Path) -> list[Finding]:
    try:
        keys = KeySet(load_pem(path))
    except KeysRefused as error:
        return [Finding("token keys", "bad", str(error), "openssl genpkey -algorithm ed25519 -out FILE && chmod 600 FILE")]
    return [Finding("token keys", "ok", f"signing with {keys.signing_kid}"), judge_private_file("token key file", path.stat().st_mode)]


def _tls_files(certificate: Path, key: Path) -> list[Finding]:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
        mode = key.stat().st_mode
    except (OSError, ssl.SSLError) as error:
        return [Finding("TLS", "bad", f"{type(error).__name__}: {error}", "name a PEM chain and the key that belongs to it")]
    return [Finding("TLS", "ok", str(certificate)), judge_private_file("TLS key file", mode)]


async def _database(settings: Settings) -> list[Finding]:
    seen = await outcome.acapture(_ask_postgres, settings.database.dsn.reveal(), settings.database.pooler)
    if isinstance(seen, outcome.Error):
        return [_unreachable("postgres", seen.error, "is it running, and are address, name and password in database.dsn right?")]
    return judge_database(seen.value, settings)


async def _replica(settings: Settings) -> list[Finding]:
    seen = await outcome.acapture(_ask_postgres, settings.database.replica_dsn.reveal(), settings.database.pooler)
    if isinstance(seen, outcome.Error):
        return [_unreachable("replica", seen.error, "reads go to the primary meanwhile; see database.replica_dsn")]
    if seen.value.standby:
        return [Finding("replica", "ok", "a standby")]
    return [Finding("replica", "look", "no standby", "let database.replica_dsn lead to a replica of database.dsn, or leave it empty")]


async def _outbox(settings: Settings) -> list[Finding]:
    async def work(connection: asyncpg.Connection) -> int | None:
        if await connection.fetchval("SELECT to_regclass('outbox') IS NULL"):
            return None
        given_up: int = await connection.fetchval(GIVEN_UP)
        return given_up

    given_up = await outcome.acapture(_ask, settings.database.dsn.reveal(), settings.database.pooler, work)
    if isinstance(given_up, outcome.Error):
        return [_unreachable("outbox", given_up.error, "see the line about postgres")]
    if given_up.value is None:
        return [Finding("outbox", "look", "not there yet", "see the line about migrations")]
    return [judge_outbox(given_up.value)]


async def _jobs(settings: Settings) -> list[Finding]:
    async def work(connection: asyncpg.Connection) -> Health | None:
        if await connection.fetchval("SELECT to_regclass('jobs') IS NULL"):
            return None
        return Health(*await connection.fetchrow(HEALTH))

    seen = await outcome.acapture(_ask, settings.database.dsn.reveal(), settings.database.pooler, work)
    if isinstance(seen, outcome.Error):
        return [_unreachable("jobs", seen.error, "see the line about postgres")]
    if seen.value is None:
        return [Finding("jobs", "look", "not there yet", "see the line about migrations")]
    return judge_jobs(seen.value)


async def _sealed(settings: Settings) -> list[Finding]:
    return await _look_at_seals(settings, "sealed secrets", "mfa_totp.sealed_by", SEALED, PURPOSE, judge_seals)


async def _sealed_push(settings: Settings) -> list[Finding]:
    subject, column = "sealed subscriptions", "push_subscriptions.sealed_by"
    return await _look_at_seals(settings, subject, column, SEALED_PUSH, PUSH_PURPOSE, judge_push_seals)


async def _look_at_seals(
    settings: Settings,
    subject: str,
    column: str,
    question: str,
    purpose: bytes,
    judge: Callable[[Mapping[str, int], Sequence[str]], Finding],
) -> list[Finding]:
    table, _, name = column.partition(".")

    async def work(connection: asyncpg.Connection) -> dict[str, int] | None:
        if not await connection.fetchval(
            "SELECT exists (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2)", table, name
        ):
            return None
        return dict(await connection.fetch(question))

    try:
        keys = Seals(KeySet(load_pem(Path(settings.tokens.key_file))).derive(purpose, DERIVED_BYTES)).names
    except KeysRefused:
        return [Finding(subject, "look", "no key to compare with", "see the line about token keys")]
    sealed = await outcome.acapture(_ask, settings.database.dsn.reveal(), settings.database.pooler, work)
    if isinstance(sealed, outcome.Error):
        return [_unreachable(subject, sealed.error, "see the line about postgres")]
    if sealed.value is None:
        return [Finding(subject, "look", "not there yet", "see the line about migrations")]
    return [judge(sealed.value, keys)]


async def _migrations(settings: Settings) -> list[Finding]:
    dsn = settings.database.direct_dsn or settings.database.dsn
    if settings.database.pooler and not settings.database.direct_dsn:
        advice = "set database.direct_dsn: migrations take a lock that belongs to a session, which a pooler does not keep"
        return [Finding("migrations", "bad", "only a pooler to go through", advice)]
    waiting = await outcome.acapture(partial(pending, dsn.reveal(), deadline_s=PROBE_S))
    match waiting:
        case outcome.Error(error=MigrationRefused() as error):
            return [Finding("migrations", "bad", str(error), "restore the file that was changed, or bring the program that belongs to it")]
        case outcome.Error(error=error):
            return [_unreachable("migrations", error, "see the line about postgres")]
    if waiting.value:
        names = ", ".join(migration.file for migration in waiting.value)
        return [Finding("migrations", "bad", f"{len(waiting.value)} pending: {names}", "run `educonnect migrate`")]
    return [Finding("migrations", "ok", "all applied")]


def _unreachable(subject: str, error: BaseException, advice: str) -> Finding:
    """Turns the world's error into a finding, and passes on everything that is no `Exception` (cancellation, above all)."""
    if not isinstance(error, Exception):
        raise error
    return Finding(subject, "bad", f"{type(error).__name__}: {error}".strip(), advice)


async def _ask_postgres(dsn: str, pooler: bool) -> DatabaseSeen:
    async def work(connection: asyncpg.Connection) -> DatabaseSeen:
        await connection.fetchval("SELECT 1")  # connecting and warming up are not part of the round trip
        began = time.time()
        row = await connection.fetchrow(_QUESTION)
        ended = time.time()
        assert row is not None
        return DatabaseSeen(
            version=row["version"],
            fsync=row["fsync"],
            synchronous_commit=row["synchronous_commit"],
            full_page_writes=row["full_page_writes"],
            standby=row["standby"],
            connections_max=row["connections_max"],
            skew_s=row["now"] - (began + ended) / 2,
            doubt_s=(ended - began) / 2,
        )

    return await _ask(dsn, pooler, work)


async def _ask(dsn: str, pooler: bool, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """One question to a database, over a connection of its own."""
    bridge = Bridge(BridgeOptions(dsn, pooler=pooler, session_settings=()))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        # Kept until the nursery has ended, which would wrap it in a group.
        answer = await outcome.acapture(partial(bridge.run, deadline_s=PROBE_S / 2, readonly=True), work)
        nursery.cancel_scope.cancel()
    return answer.unwrap()


_QUESTION: Final = """
SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit, current_setting('full_page_writes') AS full_page_writes,
       current_setting('max_connections')::int AS connections_max, pg_is_in_recovery() AS standby,
       extract(epoch FROM clock_timestamp())::float8 AS now
"""


def _redis(settings: Settings) -> list[Finding]:
    """Blocks, for at most its timeouts: redis-py is good enough for a look, and runs in a thread."""
    try:
        client = redis.Redis.from_url(settings.redis.url.reveal(), socket_timeout=PROBE_S / 4, socket_connect_timeout=PROBE_S / 4)
        with client:
            return judge_redis(_ask_redis(client), settings)
    except (redis.RedisError, OSError) as error:
        return [_unreachable("redis", error, "is it running, and are address and password in redis.url right?")]


def _ask_redis(client: redis.Redis) -> RedisSeen:
    info = client.info()
    began = time.time()
    seconds, microseconds = client.time()
    ended = time.time()
    try:
        client.execute_command("SPUBLISH", "educonnect:doctor", "")  # type: ignore[no-untyped-call]
        sharded = True
    except redis.ResponseError:
        sharded = False
    version = str(info.get("valkey_version") or info["redis_version"])
    return RedisSeen(
        product="valkey" if "valkey_version" in info else "redis",
        version=tuple(int(part) for part in version.split(".") if part.isdecimal()),
        sharded_pubsub=sharded,
        cluster=bool(info.get("cluster_enabled")),
        eviction=str(info.get("maxmemory_policy", "")),
        skew_s=seconds + microseconds / 1e6 - (began + ended) / 2,
        doubt_s=(ended - began) / 2,
    )


def _dotted(version: int) -> str:
    return f"{version // 10_000}.{version % 10_000}"


# Telling


def render(findings: list[Finding]) -> str:
    """A table for people: verdict, subject, what was seen, and below what is not well, what to do."""
    marks = {"ok": "ok  ", "look": "look", "bad": "BAD "}
    width = max((len(finding.subject) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.verdict]}  {finding.subject:<{width}}  {finding.seen}".rstrip())
        if finding.advice:
            lines.append(f"{'':6}{'':{width}}  → {finding.advice}")
    bad = sum(finding.verdict == "bad" for finding in findings)
    look = sum(finding.verdict == "look" for finding in findings)
    lines.append(f"{len(findings)} looked at: {bad} bad, {look} worth a look" if bad or look else f"{len(findings)} looked at: all well")
    return "\n".join(lines) + "\n"


def exit_status(findings: list[Finding]) -> int:
    """0 when nothing is bad."""
    return 1 if any(finding.verdict == "bad" for finding in findings) else 0
