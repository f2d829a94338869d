"""The published keys: whoever keeps a copy verifies our tokens without asking us, also while a key is being changed."""

from __future__ import annotations

import re
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.options import LIFETIME_S
from gateway.tokens import KeySet, generate_pem
from supervisors.generated import ROOT
from tests.gateway.web_world import World

OLD, NEW = generate_pem(), generate_pem()
STEPS = [KeySet(OLD), KeySet(OLD + NEW), KeySet(NEW + OLD), KeySet(NEW)]
"""What gateways hold: before, the new one verifies, the new one signs, the old one is gone."""
COPY_S = 300
"""How old a copy of the published set may be: what `Cache-Control` allows."""
ROLL_OUT_S = 60
"""From the first gateway of a deployment to the last; both serve meanwhile."""


def documented() -> Any:
    """The function on the page, as somebody copies it."""
    page = (ROOT / "docs/security.md").read_text("utf-8")
    (block,) = [text for text in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "PyJWKSet" in text]
    found: dict[str, Any] = {}
    exec(block, found)
    return found["read_token"]


async def published(world: World) -> dict[str, Any]:
    answer = await world.ask("GET", "/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == f"public, max-age={COPY_S}"
    return answer.json


async def test_what_the_page_says_verifies_a_token_with_nothing_but_the_published_keys() -> None:
    world = World()
    read_token, keys = documented(), await published(world)
    token, expires_at = world.tokens.issue(7, 8, 9, time.time())
    claims = read_token(token, keys)
    assert (claims["sub"], claims["did"], claims["sid"], claims["exp"]) == ("7", 8, 9, expires_at)


@pytest.mark.parametrize("fault", ["expired", "foreign", "audience", "issuer", "unsigned", "tampered"])
async def test_what_the_page_says_refuses_what_we_would_refuse(fault: str) -> None:
    world = World()
    read_token, keys = documented(), await published(world)
    now = time.time()
    good, _ = world.tokens.issue(7, 8, 9, now)
    foreign = KeySet(generate_pem())
    kid = {"kid": world.tokens.signing_kid}
    token = {
        "expired": lambda: world.tokens.issue(7, 8, 9, now - LIFETIME_S - 1)[0],
        "foreign": lambda: foreign.issue(7, 8, 9, now)[0],
        "audience": lambda: KeySet(OLD, audience="elsewhere").issue(7, 8, 9, now)[0],
        "issuer": lambda: KeySet(OLD, issuer="elsewhere").issue(7, 8, 9, now)[0],
        "unsigned": lambda: jwt.encode({"sub": "7"}, "", algorithm="none", headers=kid),
        "tampered": lambda: good[:-8] + ("AAAAAAAA" if good[-8:] != "AAAAAAAA" else "BBBBBBBB"),
    }[fault]()
    if fault in ("audience", "issuer"):
        keys = KeySet(OLD).jwks()
    with pytest.raises((jwt.PyJWTError, KeyError)):
        read_token(token, keys)


def test_while_a_key_is_changed_two_are_published_and_nothing_private() -> None:
    kids = [[key["kid"] for key in step.jwks()["keys"]] for step in STEPS]
    old, new = STEPS[0].signing_kid, STEPS[3].signing_kid
    assert kids == [[old], [old, new], [new, old], [new]]
    assert [step.signing_kid for step in STEPS] == [old, old, new, new]
    assert all(set(key) == {"kty", "crv", "x", "kid", "use", "alg"} for step in STEPS for key in step.jwks()["keys"])


def serving(at: float, deployed: list[float], late: float) -> KeySet:
    """What one gateway holds at a time: it took each deployment up to `late` seconds after its beginning."""
    return STEPS[sum(at >= begun + late for begun in deployed)]


def refused(deployed: list[float], issued_at: float, issuer_late: float, copied_at: float, copy_late: float) -> bool:
    """Whether a good token is refused by who holds a copy of what another gateway published."""
    token, _ = serving(issued_at, deployed, issuer_late).issue(7, 8, 9, issued_at)
    kid = jwt.get_unverified_header(token)["kid"]
    return kid not in {key["kid"] for key in serving(copied_at, deployed, copy_late).jwks()["keys"]}


DEPLOYED = [0.0, ROLL_OUT_S + COPY_S, 2 * ROLL_OUT_S + COPY_S + LIFETIME_S]
"""As the page says: after the first, what a copy lives; after the second, what a token lives."""
whole = st.floats(-1000.0, DEPLOYED[-1] + 3000.0)
roll_out = st.floats(0.0, ROLL_OUT_S)


@given(issued_at=whole, issuer_late=roll_out, age_s=st.floats(0.0, LIFETIME_S - 1.0), copy_age_s=st.floats(0.0, COPY_S), copy_late=roll_out)
def test_no_good_token_is_refused_at_any_moment_of_a_rotation_also_by_an_old_copy(
    issued_at: float, issuer_late: float, age_s: float, copy_age_s: float, copy_late: float
) -> None:
    assert not refused(DEPLOYED, issued_at, issuer_late, issued_at + age_s - copy_age_s, copy_late)


def test_a_new_key_that_signs_at_once_is_unknown_to_who_holds_a_copy_of_yesterday() -> None:
    hasty = [0.0, ROLL_OUT_S, DEPLOYED[2]]
    assert refused(hasty, issued_at=ROLL_OUT_S + 1, issuer_late=0.0, copied_at=-1.0, copy_late=0.0)
    too_soon_gone = [0.0, DEPLOYED[1], DEPLOYED[1] + ROLL_OUT_S]
    assert refused(too_soon_gone, DEPLOYED[1] - 1, 0.0, too_soon_gone[2] + ROLL_OUT_S, 0.0)
