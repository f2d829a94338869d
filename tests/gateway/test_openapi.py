"""The OpenAPI document says what the routes do."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from gateway.openapi import describe, undeclared
from gateway.openapi_whole import whole_app
from gateway.web_needs import declared
from protocol.permissions import Scope
from tests.gateway.web_world import World


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(describe(whole_app())))
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["operationId"]: one for methods in document["paths"].values() for one in methods.values()}


def test_every_route_says_what_it_answers() -> None:
    missing = undeclared(whole_app())
    assert not missing, f"decorate with @answers(…): {missing}"


def test_every_route_is_in_the_document(document: dict[str, Any]) -> None:
    assert {rule.endpoint for rule in whole_app().url_map.iter_rules()} == operations(document).keys()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in re.findall(r'"\$ref": "(#[^"]+)"', json.dumps(document)):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_schema_is_one_and_is_named_for_readers(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert "." not in name, f"two structs are called {name.rpartition('.')[2]}: rename one"
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})
        assert schema.get("description"), f"{name} has no docstring"


def test_whoever_needs_an_account_is_told_so_and_how_it_is_refused(document: dict[str, Any]) -> None:
    needs = declared(whole_app())
    for endpoint, one in operations(document).items():
        account = needs[endpoint].scope is not Scope.ANYONE
        assert bool(one["security"]) == account, endpoint
        assert not account or "401" in one["responses"], endpoint
        assert needs[endpoint].scope is not Scope.SPACE or {"403", "404"} <= one["responses"].keys(), endpoint


def test_every_problem_is_described_as_one(document: dict[str, Any]) -> None:
    assert all(one["content"].keys() == {"application/problem+json"} for one in document["components"]["responses"].values())
    assert "Retry-After" in document["components"]["responses"]["Problem429"]["headers"]


async def test_the_document_is_told_and_known_again_by_its_etag() -> None:
    client = World().app.test_client()
    first = await client.get("/api/v1/openapi.json")
    told = json.loads(await first.get_data())
    assert first.status_code == 200 and told["openapi"] == "3.1.0" and "/api/v1/auth/login" in told["paths"]
    again = await client.get("/api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, await again.get_data()) == (304, b"")


async def test_a_part_that_is_not_installed_is_not_described() -> None:
    told = json.loads(await (await World().app.test_client().get("/api/v1/openapi.json")).get_data())
    assert "/api/v1/match" not in told["paths"]


async def test_the_reference_runs_its_own_script_and_no_other() -> None:
    answer = await World().app.test_client().get("/api/v1/docs")
    page = await answer.get_data(as_text=True)
    policy = answer.headers["Content-Security-Policy"]
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r'\s(?:src|style|on\w+)="|innerHTML|https?://', page)
