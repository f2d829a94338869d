"""Passkeys in a real browser: Chromium, with an authenticator of its own (CDP), against a gateway that runs as in production.

The page is this test's; the browser's own code makes and uses the passkeys, so what it says is nobody's idea of a browser.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, sync_playwright

from protocol.codes import Code
from tests import needs
from tests.system.running import PASSWORD, Dev

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]
PAGE = """<!doctype html><title>A page of this test</title><script>
async function call(method, path, body, token) {
  const headers = {"Content-Type": "application/json"};
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch("/api/v1/auth/" + path, {method, headers, body: method == "GET" ? undefined : JSON.stringify(body ?? {})});
  const text = await answer.text();
  return {status: answer.status, json: text ? JSON.parse(text) : null};
}
async function make(options) {
  const made = await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)});
  return made.toJSON();
}
async function use(options) {
  try {
    const used = await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)});
    return used.toJSON();
  } catch (error) { return {refused: error.name}; }
}
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    return needs.require("chromium", "passkeys are made by a real browser")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running gateway for which `localhost` is the domain of passkeys; its own address is the one page that may ask for them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUCONNECT_MFA_RP_ID", "localhost")
        patch.setenv("EDUCONNECT_MFA_ORIGINS", f"http://localhost:{port}")
        running = Dev(tmp_path_factory.mktemp("passkeys"), "--no-demo", "--port", str(port))
    try:
        yield f"http://localhost:{port}"
    finally:
        running.stop()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """Somebody at a page, with an authenticator built into their machine."""

    def __init__(self, context: BrowserContext, origin: str, name: str) -> None:
        self.origin, self.name = origin, name
        self.page: Page = context.new_page()
        self.cdp: CDPSession = context.new_cdp_session(self.page)
        self.cdp.send("WebAuthn.enable")
        self.authenticator = self.add_authenticator()
        self.open(origin)
        self.session: dict[str, Any] = {}

    def add_authenticator(self) -> str:
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made: str = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
        return made

    def open(self, origin: str) -> None:
        """Goes to this test's page at an origin; whatever else is asked of it goes to the real server."""
        self.page.route("**/a-page-of-this-test", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        self.page.goto(f"{origin}/a-page-of-this-test")

    def call(self, method: str, path: str, body: object = None, *, signed_in: bool = False) -> tuple[int, Any]:
        token = self.session["access_token"] if signed_in else None
        found = self.page.evaluate("([m, p, b, t]) => call(m, p, b, t)", [method, path, body, token])
        return found["status"], found["json"]

    def ask(self, path: str, body: object = None, *, signed_in: bool = False) -> Any:
        status, found = self.call("POST", path, body, signed_in=signed_in)
        assert status in (200, 201), (status, found)
        return found

    def register(self) -> None:
        self.session = self.ask("register", {"name": self.name, "password": PASSWORD})

    def add_passkey(self) -> Any:
        offer = self.ask("passkeys/offer", signed_in=True)
        made = self.page.evaluate("options => make(options)", offer["options"])
        return self.ask("passkeys", {"challenge": offer["challenge"], "passkey": made, "name": "this machine"}, signed_in=True)

    def use(self, options: dict[str, Any]) -> dict[str, Any]:
        used: dict[str, Any] = self.page.evaluate("options => use(options)", options)
        return used

    def question(self) -> Any:
        """Of a log-in by passkey alone."""
        return self.ask("passkeys/challenge")["mfa"]

    def credentials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cdp.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})["credentials"]
        return found


@pytest.fixture
def ada(browser: Any, origin: str, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Somebody who has registered and made a passkey."""
    context = browser.new_context()
    visitor = Visitor(context, origin, f"ada-{abs(hash(request.node.name)) % 10**8}")
    visitor.register()
    added = visitor.add_passkey()
    assert added["method"]["method"] == "passkey" and len(added["recovery_codes"]) == 10
    yield visitor
    context.close()


def test_a_passkey_that_a_browser_made_logs_in_alone_and_asks_for_no_name(ada: Visitor) -> None:
    (credential,) = ada.credentials()
    assert credential["isResidentCredential"], "it is found without a name"
    question = ada.question()
    whole = ada.ask("mfa", {"challenge": question["challenge"], "passkey": ada.use(question["passkey"])})
    assert whole["name"] == ada.name and whole["access_token"]
    status, methods = ada.call("GET", "methods", signed_in=True)
    assert status == 200 and methods["methods"][0]["last_used_at"] > 0


def test_a_passkey_is_the_second_step_of_a_password_and_the_password_alone_is_none(ada: Visitor) -> None:
    half = ada.ask("login", {"name": ada.name, "password": PASSWORD})
    assert set(half) == {"mfa"} and half["mfa"]["methods"] == ["passkey", "recovery"]
    proof = {"challenge": half["mfa"]["challenge"], "passkey": ada.use(half["mfa"]["passkey"])}
    assert ada.ask("mfa", proof)["name"] == ada.name
    status, problem = ada.call("POST", "mfa", proof)
    assert (status, problem["code"]) == (401, Code.MFA), "once"


def test_a_passkey_steps_up_the_session_that_asked(ada: Visitor) -> None:
    question = ada.ask("step-up/challenge", signed_in=True)
    proof = {"challenge": question["challenge"], "passkey": ada.use(question["passkey"])}
    assert ada.ask("step-up", proof, signed_in=True)["method"] == "passkey"


def test_an_authenticator_that_did_not_verify_its_person_logs_nobody_in_alone(ada: Visitor) -> None:
    ada.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": ada.authenticator, "isUserVerified": False})
    question = ada.question()
    assert ada.use(question["passkey"]) == {"refused": "NotAllowedError"}, "the browser does not even answer"
    careless = {**question["passkey"], "userVerification": "discouraged"}
    status, problem = ada.call("POST", "mfa", {"challenge": question["challenge"], "passkey": ada.use(careless)})
    assert (status, problem["code"]) == (401, Code.MFA), "and a page that asked for less is refused here"
    half = ada.ask("login", {"name": ada.name, "password": PASSWORD})["mfa"]
    # Behind a password it proves what somebody has; an authenticator without a PIN can do no more.
    plain = ada.use({**half["passkey"], "userVerification": "discouraged"})
    assert ada.ask("mfa", {"challenge": half["challenge"], "passkey": plain})["name"] == ada.name


def test_a_page_of_another_origin_gets_nothing_that_is_taken_here(ada: Visitor) -> None:
    """Another port is another origin of the same domain: the browser signs there, and says where."""
    question = ada.question()
    ada.open("http://localhost:4711")
    elsewhere = ada.use(question["passkey"])
    assert "refused" not in elsewhere
    ada.open(ada.origin)
    status, problem = ada.call("POST", "mfa", {"challenge": question["challenge"], "passkey": elsewhere})
    assert (status, problem["code"]) == (401, Code.MFA)
    assert ada.ask("mfa", {"challenge": question["challenge"], "passkey": ada.use(question["passkey"])})["name"] == ada.name


def test_an_answer_to_one_challenge_is_no_answer_to_the_next(ada: Visitor) -> None:
    first, second = ada.question(), ada.question()
    status, problem = ada.call("POST", "mfa", {"challenge": second["challenge"], "passkey": ada.use(first["passkey"])})
    assert (status, problem["code"]) == (401, Code.MFA)


def test_a_passkey_that_was_copied_to_another_authenticator_is_found_out(ada: Visitor) -> None:
    (credential,) = ada.credentials()
    question = ada.question()
    assert ada.ask("mfa", {"challenge": question["challenge"], "passkey": ada.use(question["passkey"])})
    ada.cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": ada.authenticator})
    thief = ada.add_authenticator()
    ada.cdp.send("WebAuthn.addCredential", {"authenticatorId": thief, "credential": credential})
    question = ada.question()
    status, problem = ada.call("POST", "mfa", {"challenge": question["challenge"], "passkey": ada.use(question["passkey"])})
    assert (status, problem["code"]) == (401, Code.MFA)


def test_a_removed_passkey_logs_nobody_in_and_the_password_alone_does(ada: Visitor) -> None:
    (method,) = ada.call("GET", "methods", signed_in=True)[1]["methods"]
    assert ada.call("DELETE", f"passkeys/{method['id']}", signed_in=True)[0] == 204
    question = ada.question()
    status, problem = ada.call("POST", "mfa", {"challenge": question["challenge"], "passkey": ada.use(question["passkey"])})
    assert (status, problem["code"]) == (401, Code.MFA)
    answer = httpx.post(f"{ada.origin}/api/v1/auth/login", json={"name": ada.name, "password": PASSWORD})
    assert answer.status_code == 200 and answer.json()["access_token"]


def test_a_passkey_is_made_once_on_one_machine(ada: Visitor) -> None:
    offer = ada.ask("passkeys/offer", signed_in=True)
    again = "options => make(options).then(() => 'made', error => error.name)"
    assert ada.page.evaluate(again, offer["options"]) == "InvalidStateError"
