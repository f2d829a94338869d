"""What a node says about itself over HTTP, and what holds for every answer."""

from __future__ import annotations

import jwt
import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families

from actors.http_writing import Stamp
from actors.storage_port import Unavailable
from gateway.metrics import Metric, Metrics
from gateway.redis_connection import RedisError
from gateway.web_services import Probe, Readiness
from protocol.codes import Code
from tests.gateway.web_world import PASSWORD, World


async def test_health_asks_nobody() -> None:
    async def never() -> Readiness:
        raise AssertionError("health depends on nothing")

    answer = await World(probes={"database": Probe(never)}).ask("GET", "/health")
    assert (answer.status, answer.json) == (200, {"status": "alive"})


async def _up() -> Readiness:
    return Readiness(True, detail="12 migrations")


async def _behind() -> Readiness:
    return Readiness(False, "behind", "2 migrations are missing")


async def _unavailable() -> Readiness:
    raise Unavailable("refused", "connect to 10.0.0.5 port 5432")


async def _redis_away() -> Readiness:
    raise RedisError("connect to 10.0.0.6")


async def _silent() -> Readiness:
    await trio.sleep_forever()
    raise AssertionError


async def test_ready_names_each_thing_it_depends_on_with_its_state() -> None:
    answer = await World(probes={"redis": Probe(_up, required=False), "database": Probe(_up)}).ask("GET", "/ready")
    assert answer.status == 200
    up = {"state": "up", "detail": "12 migrations"}
    assert answer.json == {"status": "ready", "checks": {"database": {**up, "required": True}, "redis": {**up, "required": False}}}


@pytest.mark.parametrize(("probe", "state"), [(_behind, "behind"), (_unavailable, "down"), (_redis_away, "down"), (_silent, "no answer")])
async def test_what_is_required_makes_the_node_unable_and_what_is_not_only_degraded(
    probe: object, state: str, autojump_clock: trio.testing.MockClock
) -> None:
    unable = await World(probes={"a": Probe(_up), "b": Probe(probe)}).ask("GET", "/ready")  # type: ignore[arg-type]
    assert (unable.status, unable.json["status"], unable.headers["Retry-After"]) == (503, "unable", "2")
    assert unable.json["checks"]["b"]["state"] == state
    degraded = await World(probes={"a": Probe(_up), "b": Probe(probe, required=False)}).ask("GET", "/ready")  # type: ignore[arg-type]
    assert (degraded.status, degraded.json["status"]) == (200, "degraded")
    assert b"10.0.0" not in unable.body + degraded.body


async def test_slow_probes_are_asked_together(autojump_clock: trio.testing.MockClock) -> None:
    world = World(probes={str(number): Probe(_silent) for number in range(5)})
    started = trio.current_time()
    await world.ask("GET", "/ready")
    assert trio.current_time() - started == pytest.approx(1)


async def test_metrics_are_read_when_they_are_asked_for() -> None:
    world = World()
    for world.sockets in (3, 5):
        answer = await world.ask("GET", "/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
        assert families["educonnect_sockets"].samples[0].value == world.sockets


def test_counters_and_gauges_with_and_without_labels_are_written_as_prometheus_reads_them() -> None:
    closed = {("SLOW",): 2, ('odd "label"\n',): 3}
    text = Metrics(
        [
            Metric("a_total", "Counted.", "counter", lambda: 7),
            Metric("b_seconds", "Measured.", "gauge", lambda: 1.5),
            Metric("closed_total", "Sockets closed.", "counter", lambda: closed, labels=("code",)),
        ]
    ).exposition()
    found = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for f in text_string_to_metric_families(text.decode())
        for sample in f.samples
    }
    assert found["a_total", ()] == 7 and found["b_seconds", ()] == 1.5
    assert found["closed_total", ("SLOW",)] == 2 and found["closed_total", ('odd "label"\n',)] == 3
    assert found["process_open_fds", ()] > 0


def test_two_expositions_in_one_process_share_nothing_and_a_name_is_given_once() -> None:
    one, other = (Metrics([Metric("a_total", "x", "counter", lambda n=n: n)], process=False) for n in (1, 2))  # type: ignore[misc]
    assert b"a_total 1.0" in one.exposition() and b"a_total 2.0" in other.exposition()
    with pytest.raises(AssertionError, match="a_total"):
        Metrics([Metric("a_total", "x", "counter", lambda: 0)] * 2)


async def test_the_key_set_verifies_a_token_without_asking_us() -> None:
    world = World()
    ada = await world.register()
    answer = await world.ask("GET", "/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys = jwt.PyJWKSet.from_json(answer.body.decode())
    token = ada["access_token"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, audience="educonnect-gateway", options={"verify_exp": False, "verify_iat": False})
    assert claims["sub"] == str(ada["user"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, Code.NOT_FOUND),
        ("GET", "/static/../gateway/web.py", 404, Code.NOT_FOUND),
        ("GET", "/api/v1/auth/login/", 404, Code.NOT_FOUND),
        ("GET", "/api/v1/auth/login", 405, Code.INVALID),
        ("PUT", "/health", 405, Code.INVALID),
        ("DELETE", "/api/v1/auth/sessions", 405, Code.INVALID),
    ],
)
async def test_what_is_not_there_is_a_problem_too(method: str, path: str, status: int, code: Code) -> None:
    answer = await World().ask(method, path)
    answer.problem(status, code)
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
async def test_a_host_that_cannot_be_one_is_a_problem_of_whoever_sent_it(host: str) -> None:
    """It is looked at before there is anything that could render an error."""
    answer = await World().ask("GET", "/health", headers={"Host": host})
    answer.problem(400, Code.INVALID)
    assert b"Host" in answer.body
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_head_request_gets_the_fields_without_the_body() -> None:
    answer = await World().ask("HEAD", "/health")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"


async def test_asking_which_methods_there_are_is_answered() -> None:
    answer = await World().ask("OPTIONS", "/api/v1/auth/login")
    assert answer.status == 200 and "POST" in answer.headers["Allow"]


async def test_every_answer_carries_the_security_fields_and_secrets_are_not_cached() -> None:
    world = World()
    answers = [
        await world.ask("GET", "/health"),
        await world.ask("GET", "/nothing"),
        await world.auth("register", {"name": "ada", "password": PASSWORD}),
        await world.auth("login", {"name": "ada", "password": "wrong password"}),
        await world.auth("register", {}),
    ]
    assert [answer.status for answer in answers] == [200, 404, 201, 401, 400]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in answer.headers
        assert "Set-Cookie" not in answer.headers


async def test_over_tls_browsers_are_told_to_stay_there() -> None:
    answer = await World().ask("GET", "/health", scheme="https")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_a_body_that_does_not_arrive_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    client = world.app.test_client()
    async with client.request("/api/v1/auth/login", method="POST", headers={"Content-Type": "application/json"}) as connection:
        await connection.send(b'{"name": ')
    response = await connection.as_response()
    assert response.status_code == 408
    assert response.headers["Content-Type"] == "application/problem+json"


class NoWriting:
    """Makes the routes about communities exist."""

    async def stamp(self, user: int, key: bytes) -> Stamp:
        raise NotImplementedError


async def test_a_number_that_is_too_large_is_not_found_whatever_other_methods_there_are() -> None:
    world = World(writing=NoWriting())
    messages = "/api/v1/communities/1/channels/2/messages"
    for method, path in (("DELETE", f"{messages}/{2**80}"), ("PUT", f"{messages}/{2**80}"), ("POST", messages.replace("/1/", "/0/"))):
        (await world.ask(method, path)).problem(404, Code.NOT_FOUND)
    assert (await world.ask("PATCH", f"{messages}/3")).status == 405
