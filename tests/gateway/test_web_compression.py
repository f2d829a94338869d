"""Answers are made smaller where that is declared, and never where there is a secret."""

from __future__ import annotations

import gzip

import msgspec
import pytest

from gateway.openapi_answers import declared_answers
from gateway.openapi_whole import whole_app
from gateway.web_auth import Session
from gateway.web_challenge import SecondStep, SecondStepNeeded
from gateway.web_keys import Key, Service, ServiceList, Token
from gateway.web_mfa import Added, NewTotp, RecoveryCodes
from gateway.web_passkeys import Offer
from gateway.web_uploads_media import MediaAnswer
from gateway.web_webhooks import Secret, Webhook
from tests.gateway.web_world import World

SECRET = {
    Session,
    SecondStep,
    SecondStepNeeded,
    Key,
    Service,
    ServiceList,
    Token,
    Added,
    NewTotp,
    RecoveryCodes,
    Offer,
    MediaAnswer,
    Secret,
    Webhook,
}
PATH = "/api/v1/openapi.json"


@pytest.mark.parametrize("taken", ["gzip", "br, gzip;q=0.5", "*"])
async def test_a_long_answer_is_compressed_for_who_takes_it_and_says_the_same(taken: str) -> None:
    world = World()
    plain, small = await world.ask("GET", PATH), await world.ask("GET", PATH, headers={"Accept-Encoding": taken})
    assert small.headers["Content-Encoding"] == "gzip" and len(small.body) * 4 < len(plain.body)
    assert gzip.decompress(small.body) == plain.body
    assert small.headers["Content-Length"] == str(len(small.body))
    assert small.headers["ETag"] == plain.headers["ETag"]
    assert "Accept-Encoding" in plain.headers["Vary"]


@pytest.mark.parametrize("taken", ["", "br", "gzip;q=0", "gzip;q=0.0", "identity"])
async def test_nothing_is_compressed_for_who_does_not_take_it(taken: str) -> None:
    answer = await World().ask("GET", PATH, headers={"Accept-Encoding": taken})
    assert "Content-Encoding" not in answer.headers and msgspec.json.decode(answer.body)["openapi"] == "3.1.0"


async def test_an_answer_with_tokens_leaves_as_it_is() -> None:
    world = World()
    body = {"name": "ada", "password": "correct horse battery"}
    answer = await world.ask("POST", "/api/v1/auth/register", body, headers={"Accept-Encoding": "gzip"})
    assert answer.status == 201 and "Content-Encoding" not in answer.headers


def test_what_holds_a_secret_is_not_declared_to_be_compressed() -> None:
    for endpoint, one in declared_answers(whole_app()).items():
        told = {kind for body in one.gives.values() for kind in (body if isinstance(body, tuple) else (body,))}
        assert not (one.compress and told & SECRET), endpoint
        if endpoint.startswith(("auth.", "mfa.", "passkeys.", "keys.", "devices.", "recovery.", "webhooks.", "media.", "push.")):
            assert not one.compress, endpoint
