"""TOTP: which codes are taken, when, and how often; and what a sealed secret is good for."""

from __future__ import annotations

import base64
import os

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.seals import DERIVED_BYTES, Seals
from gateway.tokens import KeySet, generate_pem
from gateway.totp import PURPOSE, STEP_S, TotpReader, enrolment_uri, match_step

RFC_SECRET = b"12345678901234567890"
times = st.integers(0, 2**33)


def seals_of(*pems: str) -> Seals:
    return Seals(KeySet("".join(pems)).derive(PURPOSE, DERIVED_BYTES))


def code_of(raw: bytes, step: int) -> str:
    return pyotp.TOTP(base64.b32encode(raw).decode()).generate_otp(step)


@pytest.mark.parametrize(("now", "code"), [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (2000000000, "279037")])
def test_the_codes_of_the_standard_are_right_at_their_times(now: int, code: str) -> None:
    """RFC 6238, appendix B, SHA-1: the last six of its eight digits."""
    assert match_step(RFC_SECRET, code, now, -1) == now // STEP_S


@given(times, st.integers(-4, 4), st.integers(0, STEP_S - 1))
def test_a_code_is_taken_one_step_early_or_late_and_no_more(step: int, off: int, within_s: int) -> None:
    step += 10
    code = code_of(RFC_SECRET, step + off)
    near = {code_of(RFC_SECRET, step + other) for other in (-1, 0, 1)}
    found = match_step(RFC_SECRET, code, step * STEP_S + within_s, -1)
    assert (found is not None) == (code in near)
    if abs(off) <= 1:
        assert found is not None and code_of(RFC_SECRET, found) == code


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(-1, 1)), max_size=40))
def test_of_every_time_step_at_most_one_code_is_taken_and_never_an_older_one(attempts: list[tuple[int, int]]) -> None:
    taken: list[int] = []
    last = 0
    for second, off in attempts:
        now = 1_800_000_000 + second
        step = match_step(RFC_SECRET, code_of(RFC_SECRET, now // STEP_S + off), now, last)
        if step is not None:
            taken.append(step)
            last = step
    assert taken == sorted(set(taken))


@given(st.text(max_size=12), times)
def test_what_is_no_code_is_never_right_and_raises_nothing(code: str, now: int) -> None:
    digits = code.replace(" ", "")
    near = {code_of(RFC_SECRET, step) for step in range(max(0, now // STEP_S - 1), now // STEP_S + 2)}
    assert (match_step(RFC_SECRET, code, now, -1) is not None) == (digits in near)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "٢٨٧٠٨٢", "２８７０８２", "28708²", "-87082", "+87082", "0x7082"])
def test_other_digits_and_lengths_are_no_codes(code: str) -> None:
    assert match_step(RFC_SECRET, code, 59, -1) is None


def test_a_code_typed_in_two_groups_is_the_same_code() -> None:
    assert match_step(RFC_SECRET, "287 082", 59, -1) == 1


def test_a_secret_is_sealed_for_one_account_and_its_bytes_say_nothing() -> None:
    reader = TotpReader(seals_of(generate_pem()))
    secret, sealed = reader.make(7)
    raw = base64.b32decode(secret)
    assert raw not in sealed and secret.encode() not in sealed
    code = code_of(raw, 100)
    assert reader.match(7, sealed, code, 100 * STEP_S, 0) is not None
    assert reader.match(8, sealed, code, 100 * STEP_S, 0) is None, "a row copied into another account"


@given(st.integers(0, 53 * 8), st.booleans())
def test_a_sealed_secret_with_a_bit_changed_or_cut_short_is_none(bit: int, cut: bool) -> None:
    reader = TotpReader(Seals([b"k" * DERIVED_BYTES], random_bytes=lambda length: b"r" * length))
    _, sealed = reader.make(7)
    assert len(sealed) == 54
    broken = bytearray(sealed)
    broken[bit // 8] ^= 1 << bit % 8
    damaged = bytes(broken)[: bit // 8] if cut else bytes(broken)
    assert reader.match(7, damaged, code_of(b"r" * 20, 100), 100 * STEP_S, 0) is None
    assert reader.reseal(7, damaged) is None


def test_keys_rotate_and_a_secret_of_an_older_one_is_sealed_anew_when_it_is_used() -> None:
    old, new = generate_pem(), generate_pem()
    secret, sealed = TotpReader(seals_of(old)).make(7)
    code = code_of(base64.b32decode(secret), 100)
    both, gone = TotpReader(seals_of(new, old)), TotpReader(seals_of(new))
    assert gone.match(7, sealed, code, 100 * STEP_S, 0) is None
    matched = both.match(7, sealed, code, 100 * STEP_S, 0)
    assert matched is not None and matched.resealed is not None
    again = gone.match(7, matched.resealed, code, 100 * STEP_S, 0)
    assert again is not None and again.resealed is None
    resealed = both.reseal(7, sealed)
    assert resealed is not None and gone.match(7, resealed, code, 100 * STEP_S, 0) is not None


def test_the_sealing_key_is_none_of_the_keys_that_it_comes_from_and_stays_when_the_issuer_is_renamed() -> None:
    pem = generate_pem()
    derived = KeySet(pem).derive(PURPOSE, DERIVED_BYTES)
    assert derived == KeySet(pem, issuer="other", audience="another").derive(PURPOSE, DERIVED_BYTES)
    assert derived != KeySet(pem).derive(b"another purpose", DERIVED_BYTES)
    assert len({*derived, *KeySet(generate_pem()).derive(PURPOSE, DERIVED_BYTES)}) == 2


@pytest.mark.parametrize("name", ["ada", "Zoë", "李雷", "a.b-c_d"])
def test_an_enrolment_uri_is_read_back_by_an_authenticator(name: str) -> None:
    secret = base64.b32encode(os.urandom(20)).decode()
    otp = pyotp.parse_uri(enrolment_uri(secret, "A school & more", name))
    assert isinstance(otp, pyotp.TOTP)
    assert (otp.secret, otp.digits, otp.interval, otp.issuer, otp.name) == (secret, 6, STEP_S, "A school & more", name)
