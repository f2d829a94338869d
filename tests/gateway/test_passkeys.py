"""Passkeys: what is taken for one, and above all what is not."""

from __future__ import annotations

import base64
import copy
import json
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.mfa import Challenge, Descriptor, Method, PasskeyHeld, PasskeyMade, PasskeyOffer
from gateway.options import RelyingParty
from gateway.passkeys import PasskeyReader
from tests.gateway.authenticator import Passkey, text

RP, ORIGIN = "learn.example", "https://learn.example"
READER = PasskeyReader(RelyingParty(RP, "Learn", (ORIGIN, "https://app.learn.example")))
HANDLE = b"h" * 16


def put() -> Challenge:
    return Challenge(os.urandom(32), (Method.PASSKEY,), (), 0)


def created(passkey: Passkey) -> tuple[Challenge, dict[str, Any]]:
    challenge = put()
    return challenge, passkey.make(READER.creation_options(PasskeyOffer(challenge, HANDLE, "ada", "Ada")))


def enrol(passkey: Passkey) -> PasskeyMade:
    challenge, credential = created(passkey)
    made = READER.read_new(msgspec.json.encode(credential), challenge.token)
    assert made is not None
    return made


def held(made: PasskeyMade, *, sign_count: int | None = None) -> PasskeyHeld:
    return PasskeyHeld(made.public_key, made.sign_count if sign_count is None else sign_count, HANDLE, made.backup_eligible)


def asserted(passkey: Passkey, *, alone: bool = True) -> tuple[bytes, bytes]:
    challenge = put()
    return challenge.token, msgspec.json.encode(passkey.get(READER.request_options(challenge, alone=alone)))


def test_a_passkey_that_was_made_here_proves_its_person_over_a_challenge_of_ours() -> None:
    passkey = Passkey(RP, ORIGIN)
    made = enrol(passkey)
    assert made.credential_id == passkey.credential_id and made.transports == ("internal", "usb")
    token, credential = asserted(passkey)
    assert READER.credential_id(credential) == passkey.credential_id
    use = READER.check(credential, token, held(made), alone=True)
    assert use is not None and use.sign_count == 1 and not use.copied


def test_a_person_who_is_asked_is_verified_where_the_passkey_is_alone_and_need_not_be_where_it_is_a_second_factor() -> None:
    assert READER.request_options(put(), alone=True)["userVerification"] == "required"
    listed = Challenge(b"t" * 32, (Method.PASSKEY,), (Descriptor(b"id", ("usb",)),), 0)
    options = READER.request_options(listed, alone=False)
    assert options["userVerification"] == "preferred" and [one["id"] for one in options["allowCredentials"]] == [text(b"id")]
    passkey = Passkey(RP, ORIGIN)
    made = enrol(passkey)
    passkey.verifies = False
    token, credential = asserted(passkey)
    assert READER.check(credential, token, held(made), alone=True) is None
    assert READER.check(credential, token, held(made), alone=False) is not None


def lie(name: str, value: object) -> Any:
    return pytest.param(name, value, id=f"{name}={value!r}")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        lie("origin", "https://learn.example.evil.example"),
        lie("origin", "http://learn.example"),
        lie("rp_id", "evil.example"),
        lie("present", False),
        lie("verifies", False),
        lie("tells_handle", False),
        lie("handle", b"x" * 16),
        lie("eligible", True),
        lie("client_data", {"crossOrigin": True}),
        lie("client_data", {"crossOrigin": False, "topOrigin": "https://evil.example"}),
        lie("client_data", {"type": "webauthn.create"}),
    ],
)
def test_an_assertion_that_lies_about_one_thing_proves_nothing(attribute: str, value: object) -> None:
    passkey = Passkey(RP, ORIGIN)
    made = enrol(passkey)
    setattr(passkey, attribute, value)
    token, credential = asserted(passkey)
    assert READER.check(credential, token, held(made), alone=True) is None


def test_an_assertion_over_another_challenge_or_of_another_key_proves_nothing() -> None:
    passkey, other = Passkey(RP, ORIGIN), Passkey(RP, ORIGIN)
    made, others = enrol(passkey), enrol(other)
    token, credential = asserted(passkey)
    assert READER.check(credential, os.urandom(32), held(made), alone=True) is None
    assert READER.check(credential, token, held(others), alone=True) is None
    assert READER.check(credential, token, held(made), alone=True) is not None


def test_a_count_that_does_not_rise_shows_a_copy_and_authenticators_that_do_not_count_are_believed() -> None:
    passkey = Passkey(RP, ORIGIN)
    made = enrol(passkey)
    for known, copied in ((0, False), (1, True), (7, True)):
        token, credential = asserted(passkey)
        passkey.count = 0
        use = READER.check(credential, token, held(made, sign_count=known), alone=True)
        assert use is not None and use.copied is copied
    silent = Passkey(RP, ORIGIN, counts=False, backed_up=True)
    made = enrol(silent)
    for _ in range(3):
        token, credential = asserted(silent)
        use = READER.check(credential, token, held(made), alone=True)
        assert use is not None and not use.copied and use.backed_up


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        lie("origin", "https://evil.example"),
        lie("rp_id", "evil.example"),
        lie("present", False),
        lie("client_data", {"crossOrigin": True}),
        lie("client_data", {"type": "webauthn.get"}),
    ],
)
def test_a_new_passkey_that_was_not_made_here_is_not_kept(attribute: str, value: object) -> None:
    passkey = Passkey(RP, ORIGIN)
    setattr(passkey, attribute, value)
    challenge, credential = created(passkey)
    assert READER.read_new(msgspec.json.encode(credential), challenge.token) is None


def test_a_new_passkey_over_another_challenge_is_not_kept() -> None:
    _, credential = created(Passkey(RP, ORIGIN))
    assert READER.read_new(msgspec.json.encode(credential), os.urandom(32)) is None


def test_without_a_domain_there_are_no_passkeys() -> None:
    nowhere = PasskeyReader(RelyingParty())
    passkey = Passkey("", "")
    challenge = put()
    assert not nowhere.offered
    credential = msgspec.json.encode(passkey.make(READER.creation_options(PasskeyOffer(challenge, HANDLE, "ada", "Ada"))))
    assert nowhere.read_new(credential, challenge.token) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode), st.binary(max_size=200))
def test_any_bytes_are_a_passkey_or_none_and_raise_nothing(credential: bytes, key: bytes) -> None:
    READER.credential_id(credential)
    assert READER.check(credential, b"c" * 32, PasskeyHeld(key, 0, HANDLE, False), alone=False) is None
    assert READER.read_new(credential, b"c" * 32) is None


SOUND = Passkey(RP, ORIGIN)
SOUND_CHALLENGE = put()
SOUND_OPTIONS = READER.creation_options(PasskeyOffer(SOUND_CHALLENGE, HANDLE, "ada", "Ada"))
SOUND_HELD = held(enrol(SOUND))
SOUND_USES = {"make": SOUND.make(SOUND_OPTIONS), "get": SOUND.get(READER.request_options(SOUND_CHALLENGE, alone=False))}
"""Made once: signatures are random, and a property is not."""


@given(
    st.sampled_from(["make", "get"]), st.integers(0, 2), st.integers(0, 10_000), st.text(max_size=6) | st.sampled_from(["A", "-", "AAAA"])
)
def test_a_credential_with_any_part_damaged_proves_nothing_and_raises_nothing(kind: str, part: int, place: int, put_in: str) -> None:
    credential = copy.deepcopy(SOUND_USES[kind])
    parts = sorted(name for name, value in credential["response"].items() if isinstance(value, str))
    name = parts[part % len(parts)]
    before = credential["response"][name]
    place %= len(before)
    credential["response"][name] = damaged = before[:place] + put_in + before[place + 1 :]
    wire = json.dumps(credential).encode()
    if kind == "make":
        READER.read_new(
            wire, SOUND_CHALLENGE.token
        )  # an attestation without a statement is not signed: it may be read, and is whose it says
        return
    if READER.check(wire, SOUND_CHALLENGE.token, SOUND_HELD, alone=False) is not None:
        assert _means(damaged) == _means(before), "only what means the same: the last bits of Base64 mean nothing"


def _means(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
