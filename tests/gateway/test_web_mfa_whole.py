"""Second factors as a client meets them: HTTP, the application, and the real Postgres behind it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pyotp
import pytest

from gateway.options import AuthLimits
from gateway.rates import Limit
from gateway.web import SECURITY_FIELDS
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from protocol.codes import Code
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.gateway.authenticator import Passkey
from tests.gateway.web_world import PASSWORD, Answer, World
from tests.persistence.factors import ORIGIN, READER, RP, let_wait, multi_factor
from tests.persistence.identity import Listening, query

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]

ROOMY = Limit(burst=1000, per_s=1000)
FRESH_ROUTES = [
    ("POST", "/api/v1/auth/totp", None),
    ("POST", "/api/v1/auth/totp/confirm", {"code": "123456"}),
    ("DELETE", "/api/v1/auth/totp", None),
    ("POST", "/api/v1/auth/recovery-codes", None),
    ("POST", "/api/v1/auth/passkeys/offer", None),
    ("POST", "/api/v1/auth/passkeys", {"challenge": "x", "passkey": {}}),
    ("PATCH", "/api/v1/auth/passkeys/1", {"name": "x"}),
    ("DELETE", "/api/v1/auth/passkeys/1", None),
]


class Person:
    """Somebody with a browser, an authenticator app and a passkey."""

    def __init__(self, bridge: Bridge, **options: Any) -> None:
        self.bridge = bridge
        self.world = World(
            PostgresAccounts(bridge, Listening()),
            multi_factor=multi_factor(bridge),
            passkeys=READER,
            limits=AuthLimits(**{name: ROOMY for name in AuthLimits.__struct_fields__}),
            **options,
        )
        self.world.now = time.time()
        self.passkey = Passkey(RP, ORIGIN)
        self.session: dict[str, Any] = {}
        self.totp: pyotp.TOTP | None = None
        self.codes: list[str] = []
        self.used = ""
        """The code that confirmed the app: its time step is over with that."""

    @property
    def token(self) -> str:
        token: str = self.session["access_token"]
        return token

    async def post(self, path: str, body: object = None, *, token: str | None = None, address: str = "192.0.2.7") -> Answer:
        return await self.world.ask("POST", f"/api/v1/auth/{path}", {} if body is None else body, token=token, address=address)

    async def mine(self, path: str, body: object = None, method: str = "POST") -> Answer:
        return await self.world.ask(method, f"/api/v1/auth/{path}", body, token=self.token)

    async def log_in(self, **options: Any) -> Answer:
        return await self.post("login", {"name": "ada", "password": PASSWORD}, **options)

    async def add_totp(self) -> None:
        offer = (await self.mine("totp")).json
        parsed = pyotp.parse_uri(offer["uri"])
        assert isinstance(parsed, pyotp.TOTP) and parsed.secret == offer["secret"] and parsed.name == "ada"
        self.totp = parsed
        self.used = self.code()
        added = await self.mine("totp/confirm", {"code": self.used})
        assert added.status == 200, added.body
        self.codes = added.json["recovery_codes"] or self.codes

    async def add_passkey(self) -> dict[str, Any]:
        offer = (await self.mine("passkeys/offer")).json
        body = {"challenge": offer["challenge"], "passkey": self.passkey.make(offer["options"]), "name": "my key"}
        added = await self.mine("passkeys", body)
        assert added.status == 201, added.body
        self.codes = added.json["recovery_codes"] or self.codes
        return added.json

    def code(self) -> str:
        assert self.totp is not None
        return self.totp.at(int(time.time()))

    async def fresh_code(self) -> str:
        await query(self.bridge, "UPDATE mfa_totp SET last_step = last_step - 10")
        return self.code()


@pytest.fixture
async def ada(bridge: Bridge) -> AsyncIterator[Person]:
    person = Person(bridge)
    person.session = await person.world.register("ada")
    yield person


async def test_a_log_in_with_a_second_factor_is_half_done_until_it_is_answered(ada: Person) -> None:
    await ada.add_totp()
    half = await ada.log_in()
    assert half.status == 200 and set(half.json) == {"mfa"}
    step = half.json["mfa"]
    assert step["methods"] == ["totp", "recovery"] and step["expires_at"] > time.time() and "passkey" not in step
    whole = await ada.post("mfa", {"challenge": step["challenge"], "code": await ada.fresh_code()})
    assert whole.status == 200 and whole.json["user"] == ada.session["user"]
    assert (await ada.world.ask("GET", "/api/v1/auth/me", token=whole.json["access_token"])).status == 200


async def test_what_stands_in_for_a_session_opens_nothing(ada: Person) -> None:
    """The skipped step: the challenge shown as whatever else might be taken."""
    await ada.add_totp()
    challenge = (await ada.log_in()).json["mfa"]["challenge"]
    for path in ("me", "sessions", "methods"):
        (await ada.world.ask("GET", f"/api/v1/auth/{path}", token=challenge)).problem(401, Code.UNAUTHENTICATED)
    (await ada.post("refresh", {"refresh_token": challenge})).problem(401, Code.UNAUTHENTICATED)
    (await ada.post("step-up", {"password": PASSWORD}, token=challenge)).problem(401, Code.UNAUTHENTICATED)
    (await ada.world.ask("POST", "/api/v1/devices", {}, token=challenge)).problem(401, Code.UNAUTHENTICATED)
    (await ada.post("mfa", {"challenge": challenge})).problem(400, Code.INVALID)
    (rows,) = await query(ada.bridge, "SELECT count(*) FROM sessions")
    assert rows["count"] == 1, "the one of the registration"


async def test_a_client_that_knows_of_no_second_factor_gets_no_token_of_any_kind(ada: Person) -> None:
    """The downgrade: an old client's log-in, with every field that it might have sent."""
    await ada.add_totp()
    for extra in ({}, {"device": ada.session["device"]}, {"device_name": "old"}):
        answer = await ada.post("login", {"name": "ada", "password": PASSWORD, **extra})
        assert answer.status == 200 and set(answer.json) == {"mfa"} and b"token" not in answer.body
    for body in ({"mfa": False}, {"code": "123456"}, {"methods": []}):
        (await ada.post("login", {"name": "ada", "password": PASSWORD, **body})).problem(400, Code.INVALID)
    assert (await ada.world.ask("GET", "/api/v1/auth/me", token=ada.token)).status == 200, "and the session on that device goes on"


async def test_a_session_is_made_by_the_answer_and_given_to_whoever_answered(ada: Person) -> None:
    """Fixation: nothing that was known before the answer is good for anything after it."""
    await ada.add_totp()
    step = (await ada.log_in()).json["mfa"]
    proof = {"challenge": step["challenge"], "code": await ada.fresh_code()}
    whole = (await ada.post("mfa", proof)).json
    assert step["challenge"] not in (whole["access_token"], whole["refresh_token"])
    (await ada.post("mfa", proof)).problem(401, Code.MFA)
    (await ada.post("mfa", proof, address="198.51.100.9")).problem(401, Code.MFA)


async def test_a_challenge_that_is_over_foreign_or_never_was_is_answered_alike(ada: Person) -> None:
    await ada.add_totp()
    used = (await ada.log_in()).json["mfa"]["challenge"]
    assert (await ada.post("mfa", {"challenge": used, "recovery_code": ada.codes[0]})).status == 200
    elsewhere = (await ada.log_in(address="198.51.100.9")).json["mfa"]["challenge"]
    late = (await ada.log_in()).json["mfa"]["challenge"]
    stranger = (await ada.post("passkeys/challenge")).json["mfa"]["challenge"]
    answers = []
    await query(ada.bridge, "UPDATE mfa_challenges SET expires_at = now() WHERE user_id IS NOT NULL AND network <> '198.51.100.9'")
    for challenge in (used, elsewhere, late, "A" * 43, "x", "!!!"):
        answers.append(await ada.post("mfa", {"challenge": challenge, "recovery_code": ada.codes[1]}))
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    answers[0].problem(401, Code.MFA)
    (await ada.post("mfa", {"challenge": stranger, "recovery_code": ada.codes[1]})).problem(401, Code.MFA)
    assert (await ada.mine("methods", method="GET")).json["recovery_codes_left"] == 9


async def test_a_wrong_code_a_used_one_and_somebody_elses_passkey_are_answered_alike(ada: Person) -> None:
    await ada.add_totp()
    await ada.add_passkey()
    eve = Passkey(RP, ORIGIN)
    bodies = []
    for name in ("code", "recovery_code", "passkey"):
        step = (await ada.log_in()).json["mfa"]
        value: object = {"code": ada.used, "recovery_code": "aaaa-aaaa-aaaa-aaaa", "passkey": eve.get(step["passkey"])}[name]
        answer = await ada.post("mfa", {"challenge": step["challenge"], name: value})
        answer.problem(401, Code.MFA)
        bodies.append(answer.body)
    assert len(set(bodies)) == 1


async def test_a_passkey_logs_in_alone_and_the_question_names_nobody(ada: Person) -> None:
    await ada.add_passkey()
    question = (await ada.post("passkeys/challenge", {"device": ada.session["device"], "device_name": "tablet"})).json["mfa"]
    assert question["methods"] == ["passkey"] and question["passkey"].get("allowCredentials", []) == []
    assert question["passkey"]["userVerification"] == "required" and question["passkey"]["rpId"] == RP
    whole = await ada.post("mfa", {"challenge": question["challenge"], "passkey": ada.passkey.get(question["passkey"])})
    assert whole.status == 200, whole.body
    assert (whole.json["user"], whole.json["device"]) == (ada.session["user"], ada.session["device"])


async def test_a_passkey_is_the_second_factor_of_a_password(ada: Person) -> None:
    await ada.add_passkey()
    step = (await ada.log_in()).json["mfa"]
    assert step["methods"] == ["passkey", "recovery"]
    assert [one["id"] for one in step["passkey"]["allowCredentials"]] == [ada.passkey.get(step["passkey"])["id"]]
    assert (await ada.post("mfa", {"challenge": step["challenge"], "passkey": ada.passkey.get(step["passkey"])})).status == 200


async def test_a_disabled_account_is_opened_by_no_factor(ada: Person) -> None:
    await ada.add_passkey()
    question = (await ada.post("passkeys/challenge")).json["mfa"]
    await query(ada.bridge, "UPDATE accounts SET disabled_at = now()")
    body = {"challenge": question["challenge"], "passkey": ada.passkey.get(question["passkey"])}
    (await ada.post("mfa", body)).problem(403, Code.FORBIDDEN)


@pytest.mark.parametrize(("method", "path", "body"), FRESH_ROUTES)
async def test_what_is_dangerous_needs_a_fresh_proof_and_not_only_a_session(ada: Person, method: str, path: str, body: object) -> None:
    await let_wait(ada.bridge, 3600)
    (await ada.world.ask(method, path, body, token=ada.token)).problem(403, Code.STEP_UP)
    assert (await ada.post("step-up", {"password": PASSWORD}, token=ada.token)).json == {"method": "password", "seconds": 600}
    assert (await ada.world.ask(method, path, body, token=ada.token)).status != 403


async def test_a_step_up_by_the_password_ends_with_the_first_second_factor(ada: Person) -> None:
    await ada.add_totp()
    (await ada.post("step-up", {"password": PASSWORD}, token=ada.token)).problem(401, Code.MFA)
    stepped = await ada.post("step-up", {"code": await ada.fresh_code()}, token=ada.token)
    assert stepped.json["method"] == "totp"


async def test_a_step_up_by_a_wrong_password_is_refused_and_counted(ada: Person) -> None:
    for _ in range(5):
        (await ada.post("step-up", {"password": "wrong password"}, token=ada.token)).problem(401, Code.MFA)
    hashed = ada.world.passwords.done
    problem = (await ada.post("step-up", {"password": PASSWORD}, token=ada.token)).problem(429, Code.RATE)
    assert 0 < problem["retry_after_s"] <= 30 and ada.world.passwords.done == hashed, "whoever must wait costs no hash"


async def test_a_step_up_by_a_passkey_answers_the_challenge_of_this_session(ada: Person) -> None:
    await ada.add_passkey()
    await let_wait(ada.bridge, 3600)
    question = (await ada.mine("step-up/challenge")).json
    body = {"challenge": question["challenge"], "passkey": ada.passkey.get(question["passkey"])}
    assert (await ada.mine("step-up", body)).json["method"] == "passkey"
    (await ada.mine("step-up", body)).problem(401, Code.MFA)
    (await ada.mine("step-up", {"passkey": ada.passkey.get(question["passkey"])})).problem(401, Code.MFA)
    assert (await ada.mine("totp")).status == 201


@pytest.mark.parametrize("body", [{}, {"password": PASSWORD, "code": "123456"}, {"code": "1", "recovery_code": "a"}, {"nonsense": 1}])
async def test_a_step_up_by_nothing_or_by_two_things_is_refused(ada: Person, body: object) -> None:
    (await ada.mine("step-up", body)).problem(400, Code.INVALID)


async def test_a_passkey_has_another_name_from_then_on_and_goes_on_opening_the_account(ada: Person) -> None:
    added = await ada.add_passkey()
    path = f"passkeys/{added['method']['id']}"
    for typed, kept in (("  the blue phone ", "the blue phone"), ("", "passkey")):
        assert (await ada.mine(path, {"name": typed}, method="PATCH")).status == 204
        assert [one["name"] for one in (await ada.mine("methods", method="GET")).json["methods"]] == [kept]
    (await ada.mine(path, {"name": "x" * 300}, method="PATCH")).problem(400, Code.INVALID)
    (await ada.mine(path, {"name": "a\u202eb"}, method="PATCH")).problem(400, Code.INVALID)
    (await ada.mine("passkeys/9999999", {"name": "x"}, method="PATCH")).problem(404, Code.NOT_FOUND)


async def test_methods_are_listed_and_removed_and_the_password_alone_opens_it_again(ada: Person) -> None:
    await ada.add_totp()
    added = await ada.add_passkey()
    assert added["recovery_codes"] == [] and len(ada.codes) == 10
    listed = (await ada.mine("methods", method="GET")).json
    assert [(one["method"], one["name"]) for one in listed["methods"]] == [("totp", ""), ("passkey", "my key")]
    assert listed["recovery_codes_left"] == 10
    assert (await ada.mine("totp", method="DELETE")).status == 204
    (await ada.mine("totp", method="DELETE")).problem(404, Code.NOT_FOUND)
    assert (await ada.mine(f"passkeys/{added['method']['id']}", method="DELETE")).status == 204
    assert (await ada.mine("methods", method="GET")).json == {"methods": [], "recovery_codes_left": 0}
    assert "access_token" in (await ada.log_in()).json


async def test_new_recovery_codes_are_shown_once_and_replace_the_earlier_ones(ada: Person) -> None:
    await ada.add_totp()
    renewed = (await ada.mine("recovery-codes")).json["recovery_codes"]
    challenge = (await ada.log_in()).json["mfa"]["challenge"]
    (await ada.post("mfa", {"challenge": challenge, "recovery_code": ada.codes[0]})).problem(401, Code.MFA)
    assert (await ada.post("mfa", {"challenge": challenge, "recovery_code": renewed[0].upper()})).status == 200


async def test_without_a_domain_no_passkey_is_asked_for(bridge: Bridge) -> None:
    world = World(PostgresAccounts(bridge, Listening()), multi_factor=multi_factor(bridge))
    world.now = time.time()
    ada = await world.register("ada")
    (await world.auth("passkeys/challenge", {})).problem(404, Code.NOT_FOUND)
    (await world.auth("passkeys/offer", token=ada["access_token"])).problem(404, Code.NOT_FOUND)


@pytest.mark.parametrize(
    "passkey", [None, 7, "text", [], {}, {"id": 1}, {"id": "a", "rawId": "a", "type": "public-key", "response": {}}, {"id": "x" * 3000}]
)
async def test_a_passkey_that_is_none_is_refused_in_words(ada: Person, passkey: object) -> None:
    await ada.add_passkey()
    question = (await ada.post("passkeys/challenge")).json["mfa"]
    (await ada.post("mfa", {"challenge": question["challenge"], "passkey": passkey})).problem(401, Code.MFA)
    offer = (await ada.mine("passkeys/offer")).json
    (await ada.mine("passkeys", {"challenge": offer["challenge"], "passkey": passkey})).problem(401, Code.MFA)


async def test_answers_are_limited_by_address_before_anything_is_asked(bridge: Bridge) -> None:
    tight = AuthLimits(**{name: ROOMY for name in AuthLimits.__struct_fields__ if name != "login_address"}, login_address=Limit(2, 0.1))
    world = World(PostgresAccounts(bridge, Listening()), multi_factor=multi_factor(bridge), passkeys=READER, limits=tight)
    for path, body in (("mfa", {"challenge": "A" * 43, "code": "123456"}), ("passkeys/challenge", {})):
        for _ in range(2):
            assert (await world.auth(path, body)).status != 429
        (await world.auth(path, body)).problem(429, Code.RATE)


def test_no_answer_here_is_kept_by_a_browser_or_a_proxy() -> None:
    """Secrets shown once must not stay in a cache: every answer of this application says so, in one place."""
    assert SECURITY_FIELDS["Cache-Control"] == "no-store"
