"""Pages of other origins read what the setting lets them read."""

from __future__ import annotations

import pytest

from protocol.codes import Code
from tests.gateway.web_world import World

LEARN = "https://learn.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.mark.parametrize(("origins", "said"), [((LEARN,), LEARN), (("*",), "*")])
async def test_a_page_of_an_allowed_origin_may_ask_and_read(origins: tuple[str, ...], said: str) -> None:
    world = World(origins=origins)
    asked = await world.ask("OPTIONS", "/api/v1/auth/login", headers={"Origin": LEARN, **PREFLIGHT})
    assert asked.status == 204 and asked.headers["Access-Control-Allow-Origin"] == said
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    answer = await world.ask("GET", "/api/v1/auth/me", headers={"Origin": LEARN})
    assert answer.status == 401 and answer.headers["Access-Control-Allow-Origin"] == said
    assert "Access-Control-Allow-Credentials" not in answer.headers and "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origins", [(), (LEARN,)])
@pytest.mark.parametrize("origin", ["https://evil.example", "https://learn.example.evil.example", "null", "http://learn.example"])
async def test_a_page_of_any_other_origin_reads_nothing(origins: tuple[str, ...], origin: str) -> None:
    world = World(origins=origins)
    for method, more in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        answer = await world.ask(method, "/api/v1/auth/login", headers={"Origin": origin, **more})
        assert not any(name.lower().startswith("access-control") for name in answer.headers.keys())


async def test_a_server_with_a_name_answers_nothing_under_another_one() -> None:
    world = World(hosts=("learn.example",))
    for path in ("/metrics", "/api/v1/auth/login", "/health", "/", "/nothing"):
        answer = await world.ask("GET", path, headers={"Host": "evil.example:8000"})
        answer.problem(403, Code.FORBIDDEN)
    for host in ("learn.example", "10.0.0.7:8000", "localhost"):
        assert (await world.ask("GET", "/health", headers={"Host": host})).status == 200
    assert (await World().ask("GET", "/health", headers={"Host": "evil.example"})).status == 200


async def test_only_the_api_is_for_other_origins() -> None:
    answer = await World(origins=("*",)).ask("GET", "/metrics", headers={"Origin": LEARN})
    assert "Access-Control-Allow-Origin" not in answer.headers
