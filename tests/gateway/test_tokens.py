"""Access tokens: what they prove, what they do not, and every way we know of to forge one."""

from __future__ import annotations

import base64
import hmac
import json
import os
import stat
from pathlib import Path

import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from actors.accounts import Claims
from gateway.tokens import (
    AUDIENCE,
    CLOCK_SKEW_S,
    ISSUER,
    KEYS_MAX,
    LIFETIME_S,
    TOKEN_LENGTH_MAX,
    KeySet,
    KeysRefused,
    generate_pem,
    load_or_generate_pem,
    load_pem,
    public_pem,
)
from protocol.codes import Code
from protocol.values import ID_MAX

NOW = 1_800_000_000.5
PEM = generate_pem()
GOOD: dict[str, object] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "7",
    "did": 8,
    "sid": 9,
    "iat": int(NOW),
    "exp": int(NOW) + LIFETIME_S,
}


@pytest.fixture
def keys() -> KeySet:
    return KeySet(PEM)


def sign(claims: object, *, pem: str = PEM, kid: str | None = None, **header: object) -> str:
    key = load_pem_private_key(pem.encode(), None)
    return jwt.api_jws.encode(
        json.dumps(claims).encode(), key, "EdDSA", headers={"typ": "JWT", "kid": kid or KeySet(pem).signing_kid, **header}
    )


def part(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def test_a_token_says_who_which_device_and_which_session_until_when(keys: KeySet) -> None:
    token, expires_at = keys.issue(7, 8, 9, NOW)
    assert expires_at == int(NOW) + LIFETIME_S
    assert keys.verify(token, NOW) == Claims(7, 8, 9, int(NOW), expires_at)


def test_a_token_is_good_up_to_its_last_moment_and_not_after(keys: KeySet) -> None:
    token, expires_at = keys.issue(7, 8, 9, NOW)
    assert isinstance(keys.verify(token, expires_at - 0.001), Claims)
    assert keys.verify(token, expires_at) is Code.TOKEN_EXPIRED
    assert KeySet(PEM).verify(token, expires_at) is Code.TOKEN_EXPIRED, "the same for one that is seen for the first time"


def test_a_token_from_the_future_is_refused_beyond_what_clocks_differ_by(keys: KeySet) -> None:
    token, _ = keys.issue(7, 8, 9, NOW)
    assert isinstance(keys.verify(token, int(NOW) - CLOCK_SKEW_S), Claims)
    assert keys.verify(token, int(NOW) - CLOCK_SKEW_S - 1) is Code.UNAUTHENTICATED


def test_the_good_claims_of_these_tests_are_good(keys: KeySet) -> None:
    """Else every forgery below would be refused for the wrong reason."""
    assert keys.verify(sign(GOOD), NOW) == Claims(7, 8, 9, int(NOW), int(NOW) + LIFETIME_S)


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_an_unsigned_token_is_refused(keys: KeySet, algorithm: str, signature: str) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": keys.signing_kid}
    assert keys.verify(f"{part(header)}.{part(GOOD)}.{signature}", NOW) is Code.UNAUTHENTICATED


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_signed_with_the_public_key_as_if_it_were_a_shared_secret_is_refused(keys: KeySet, algorithm: str) -> None:
    public = load_pem_private_key(PEM.encode(), None).public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        keys.jwks()["keys"][0]["x"].encode(),
    ):
        # By hand: PyJWT refuses to help with this.
        signed = f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': keys.signing_kid})}.{part(GOOD)}"
        mac = hmac.digest(secret, signed.encode(), {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[algorithm])
        token = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        assert keys.verify(token, NOW) is Code.UNAUTHENTICATED


def test_a_foreign_key_is_refused_under_its_own_name_and_under_ours(keys: KeySet) -> None:
    foreign = generate_pem()
    assert keys.verify(sign(GOOD, pem=foreign), NOW) is Code.UNAUTHENTICATED
    assert keys.verify(sign(GOOD, pem=foreign, kid=keys.signing_kid), NOW) is Code.UNAUTHENTICATED


def test_a_key_that_the_token_brings_along_is_not_used(keys: KeySet) -> None:
    foreign = generate_pem()
    jwk = KeySet(foreign).jwks()["keys"][0]
    for header in ({"jwk": jwk}, {"jku": "http://evil.example/jwks"}, {"x5u": "http://evil.example/x"}):
        assert keys.verify(sign(GOOD, pem=foreign, kid=jwk["kid"], **header), NOW) is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody-else"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "another-service"},
        {"aud": [AUDIENCE, "another-service"]},
        {"aud": None},
        {"sub": 7},
        {"sub": ""},
        {"sub": "ada"},
        {"sub": "0"},
        {"sub": "-7"},
        {"sub": str(ID_MAX + 1)},
        {"sub": "9" * 900},
        {"sub": None},
        {"did": "8"},
        {"did": 0},
        {"did": -1},
        {"did": 8.5},
        {"did": True},
        {"did": ID_MAX + 1},
        {"did": None},
        {"sid": None},
        {"sid": [9]},
        {"sid": 0},
        {"iat": "yesterday"},
        {"iat": None},
        {"exp": None},
        {"exp": "never"},
        {"exp": 1e400},
    ],
    ids=str,
)
def test_claims_that_are_not_exactly_ours_are_refused_even_when_signed_by_us(keys: KeySet, change: dict[str, object]) -> None:
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    assert keys.verify(sign(claims), NOW) is Code.UNAUTHENTICATED


@pytest.mark.parametrize("payload", [[], "text", 7, None, {}])
def test_a_payload_that_is_no_object_of_claims_is_refused(keys: KeySet, payload: object) -> None:
    assert keys.verify(sign(payload), NOW) is Code.UNAUTHENTICATED


@pytest.mark.parametrize("kid", ["", "unknown", "../../etc/passwd", "' OR 1=1 --"])
def test_an_unknown_key_name_is_refused(keys: KeySet, kid: str) -> None:
    header = {"alg": "EdDSA", "typ": "JWT", "kid": kid}
    _, payload, signature = sign(GOOD).split(".")
    assert keys.verify(f"{part(header)}.{payload}.{signature}", NOW) is Code.UNAUTHENTICATED


def test_every_truncation_is_refused(keys: KeySet) -> None:
    token, _ = keys.issue(7, 8, 9, NOW)
    for length in range(len(token)):
        assert keys.verify(token[:length], NOW) is Code.UNAUTHENTICATED


def test_what_is_too_long_is_refused_without_being_looked_at(keys: KeySet) -> None:
    long = sign({**GOOD, "padding": "x" * TOKEN_LENGTH_MAX})
    assert keys.verify(long, NOW) is Code.UNAUTHENTICATED
    assert keys.checked == 0


@given(st.data())
def test_no_changed_character_leaves_a_token_good(data: st.DataObject) -> None:
    keys = KeySet(PEM)
    token, _ = keys.issue(7, 8, 9, NOW)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda c: c != token[place]))
    changed = token[:place] + other + token[place + 1 :]
    if not isinstance(keys.verify(changed, NOW), Claims):
        return
    # The last character of a part carries bits that mean nothing: such a spelling is another string with the same signature.
    assert _bytes_of(changed) == _bytes_of(token)


def _bytes_of(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(text + "==") for text in token.split(".")]


@given(st.text(max_size=300) | st.lists(st.text("AZaz09-_=. é\0", max_size=80), max_size=5).map(".".join))
def test_any_text_is_refused_and_none_raises(text: str) -> None:
    assert KeySet(PEM).verify(text, NOW) is Code.UNAUTHENTICATED


# Remembering


def test_a_verified_token_is_not_verified_again_and_refused_ones_are_not_remembered(keys: KeySet) -> None:
    token, _ = keys.issue(7, 8, 9, NOW)
    for _ in range(5):
        keys.verify(token, NOW)
    assert (keys.checked, keys.remembered, keys.refused) == (1, 4, 0)
    bad = sign(GOOD, pem=generate_pem(), kid=keys.signing_kid)
    for _ in range(3):
        keys.verify(bad, NOW)
    assert (keys.checked, keys.refused) == (4, 3)


def test_the_memory_is_bounded_and_what_was_forgotten_is_still_good() -> None:
    keys = KeySet(PEM, verified_max=3)
    tokens = [keys.issue(user, 8, 9, NOW)[0] for user in range(1, 6)]
    for token in tokens:
        assert isinstance(keys.verify(token, NOW), Claims)
    assert isinstance(keys.verify(tokens[0], NOW), Claims)
    assert keys.checked == 6
    assert isinstance(keys.verify(tokens[0], NOW), Claims)
    assert keys.checked == 6


# Keys


def test_a_rotation_in_three_steps_never_refuses_a_good_token() -> None:
    old, new = generate_pem(), generate_pem()
    steps = [KeySet(old), KeySet(old + new), KeySet(new + old), KeySet(new)]
    # While a step is rolled out, gateways of two neighbouring steps serve the same people.
    for one, other in [(0, 1), (1, 2)]:
        for issuer, verifier in [(steps[one], steps[other]), (steps[other], steps[one])]:
            assert isinstance(verifier.verify(issuer.issue(7, 8, 9, NOW)[0], NOW), Claims)
    assert isinstance(steps[3].verify(steps[2].issue(7, 8, 9, NOW)[0], NOW), Claims)
    assert steps[3].verify(steps[1].issue(7, 8, 9, NOW)[0], NOW) is Code.UNAUTHENTICATED


def test_the_published_keys_are_public_and_verify_what_is_signed() -> None:
    keys = KeySet(generate_pem() + public_pem(generate_pem()))
    published = keys.jwks()
    assert [set(key) for key in published["keys"]] == [{"kty", "crv", "x", "kid", "use", "alg"}] * 2
    token, _ = keys.issue(7, 8, 9, NOW)
    foreign_reader = jwt.PyJWKSet.from_dict(published)
    key = foreign_reader[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, audience=AUDIENCE, issuer=ISSUER, options={"verify_exp": False, "verify_iat": False})["sid"] == 9


def test_a_public_key_verifies_but_cannot_sign_and_a_set_without_a_private_key_is_refused() -> None:
    old = generate_pem()
    token, _ = KeySet(old).issue(7, 8, 9, NOW)
    assert isinstance(KeySet(generate_pem() + public_pem(old)).verify(token, NOW), Claims)
    with pytest.raises(KeysRefused, match="at least one block BEGIN PRIVATE KEY"):
        KeySet(public_pem(old))


def other_keys() -> list[str]:
    p256, ed = ec.generate_private_key(ec.SECP256R1()), ed448.Ed448PrivateKey.generate()
    return [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() for key in (p256, ed)]


NO_KEYS = {
    "nothing": "",
    "prose": "no key at all",
    "half": PEM[: len(PEM) // 2],
    "another label": PEM.replace("PRIVATE", "EC PRIVATE"),
    "too many": PEM * (KEYS_MAX + 1),
    "no base64": "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
    "too long": "x" * 100_000,
    **dict(zip(("P-256", "Ed448"), other_keys(), strict=True)),
}


@pytest.mark.parametrize("what", NO_KEYS)
def test_what_is_no_ed25519_key_is_refused_with_what_is_expected_and_without_what_it_held(what: str) -> None:
    pem = NO_KEYS[what]
    with pytest.raises(KeysRefused, match="expected") as refused:
        KeySet(pem)
    secret = pem.splitlines()[1] if pem.count("\n") > 1 else "\0"
    assert secret not in str(refused.value)


def test_a_generated_key_file_is_closed_to_others_and_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "keys.pem"
    first = load_or_generate_pem(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_generate_pem(path) == first == load_pem(path)
    assert os.listdir(path.parent) == ["keys.pem"]


async def test_gateways_that_start_together_agree_on_one_generated_key(tmp_path: Path) -> None:
    found: set[str] = set()

    async def start() -> None:
        found.add(await trio.to_thread.run_sync(load_or_generate_pem, tmp_path / "keys.pem"))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(start)
    assert len(found) == 1


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeysRefused, match=r"missing\.pem: FileNotFoundError"):
        load_pem(tmp_path / "missing.pem")
    (tmp_path / "binary.pem").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeysRefused, match=r"binary\.pem"):
        load_pem(tmp_path / "binary.pem")
