"""Claims about tickets: what was sealed is read, what was not is refused, and nothing is good for longer or for more than its token."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from actors.accounts import Claims, Ticketed
from gateway.tickets import LENGTH_MAX, LENGTH_MIN, TicketKeys
from gateway.tokens import KeySet, generate_pem, public_pem
from protocol.values import ID_MAX

NOW: Final = 1_790_000_000.0
EXPIRES: Final = int(NOW) + 900
EPOCH: Final = ID_MAX
TERMS: Final = b"\x01\x93\xce\x00\x01\x00\x00\xcd\x01\x00\xcd\x01\xf4"
CLAIMS: Final = Claims(1_000_007, 2_000_011, 4_000_037, 0, EXPIRES)
PEM: Final = generate_pem()
IDS: Final = st.integers(1, ID_MAX)


def keys(pem: str = PEM, epoch: int = EPOCH) -> KeySet:
    return KeySet(pem, epoch=lambda: epoch)


TICKET: Final = keys().seal(CLAIMS, EPOCH, TERMS)


@given(IDS, IDS, IDS, st.integers(int(NOW) + 1, 2**32 - 1), st.integers(1, ID_MAX), st.binary(max_size=20))
def test_what_was_sealed_is_read_by_every_gateway_with_the_key(
    user: int, device: int, session: int, expires_at: int, epoch: int, terms: bytes
) -> None:
    claims = Claims(user, device, session, 0, expires_at)
    ticket = keys(epoch=epoch).seal(claims, epoch, terms)
    assert LENGTH_MIN <= len(ticket) <= LENGTH_MAX <= 64
    assert keys(epoch=epoch).unseal(ticket, terms, NOW) == Ticketed(claims, epoch)


def test_a_ticket_has_at_most_32_bytes_while_identifiers_are_below_two_to_the_35() -> None:
    assert len(keys().seal(Claims(2**35 - 1, 2**35 - 1, 2**35 - 1, 0, EXPIRES), EPOCH, TERMS)) == 32


def test_a_ticket_is_good_up_to_its_tokens_last_moment_and_not_after() -> None:
    assert keys().unseal(TICKET, TERMS, EXPIRES - 0.01) == Ticketed(CLAIMS, EPOCH)
    assert keys().unseal(TICKET, TERMS, EXPIRES) is None


def test_a_ticket_expires_with_the_token_that_it_was_made_for() -> None:
    token, expires_at = keys().issue(1, 2, 3, NOW)
    claims = keys().verify(token, NOW)
    assert isinstance(claims, Claims)
    ticketed = keys().unseal(keys().seal(claims, EPOCH, TERMS), TERMS, NOW)
    assert ticketed is not None and ticketed.claims.expires_at == expires_at


@given(st.integers(0, len(TICKET) * 8 - 1))
def test_a_ticket_with_one_bit_changed_is_no_ticket(bit: int) -> None:
    forged = bytearray(TICKET)
    forged[bit // 8] ^= 1 << bit % 8
    assert keys().unseal(bytes(forged), TERMS, NOW) is None


@given(st.binary(max_size=64) | st.binary(max_size=30).map(lambda tail: TICKET[:1] + tail))
def test_any_bytes_are_refused_and_none_raise(noise: bytes) -> None:
    assert keys().unseal(noise, TERMS, NOW) is None


@given(st.integers(1, len(TICKET) - 1))
def test_a_ticket_cut_short_or_with_something_behind_it_is_no_ticket(length: int) -> None:
    assert keys().unseal(TICKET[:length], TERMS, NOW) is None
    assert keys().unseal(TICKET + TICKET[:length], TERMS, NOW) is None


def test_a_ticket_of_another_installation_is_no_ticket() -> None:
    assert keys(generate_pem()).unseal(TICKET, TERMS, NOW) is None
    for other in (KeySet(PEM, issuer="another", epoch=lambda: EPOCH), KeySet(PEM, audience="another", epoch=lambda: EPOCH)):
        assert other.unseal(TICKET, TERMS, NOW) is None, "the same key under another name is another installation's"


def test_a_ticket_of_another_epoch_or_under_other_terms_is_no_ticket() -> None:
    assert keys(epoch=EPOCH - 1).unseal(TICKET, TERMS, NOW) is None
    assert keys().unseal(TICKET, TERMS[:-1], NOW) is None
    assert keys().unseal(TICKET, TERMS + b"\0", NOW) is None


def test_while_the_epoch_is_not_known_no_ticket_is_good() -> None:
    assert keys(epoch=0).unseal(keys().seal(CLAIMS, 0, TERMS), TERMS, NOW) is None


def test_what_a_ticket_says_cannot_be_moved_into_its_terms() -> None:
    """Lengths are under the MAC: a byte is the ticket's or the terms', never either's."""
    one = TicketKeys([b"k" * 32], "here")
    ticket = one.seal(CLAIMS, EPOCH, TERMS)
    body, mac = ticket[:-12], ticket[-12:]
    assert one.unseal(body[:-1] + mac, EPOCH, body[-1:] + TERMS, NOW) is None


def test_keys_rotate_without_a_moment_in_which_tickets_are_refused() -> None:
    old, new = generate_pem(), generate_pem()
    steps = [keys(old), keys(old + new), keys(new + old), keys(new)]
    for before, after in pairwise(steps):
        assert after.unseal(before.seal(CLAIMS, EPOCH, TERMS), TERMS, NOW) == Ticketed(CLAIMS, EPOCH)
        assert before.unseal(after.seal(CLAIMS, EPOCH, TERMS), TERMS, NOW) == Ticketed(CLAIMS, EPOCH), "gateways change one by one"
    assert keys(new).unseal(keys(old).seal(CLAIMS, EPOCH, TERMS), TERMS, NOW) is None


def test_a_key_that_is_only_public_here_makes_and_reads_no_tickets() -> None:
    old, new = generate_pem(), generate_pem()
    assert keys(new + public_pem(old)).unseal(keys(old).seal(CLAIMS, EPOCH, TERMS), TERMS, NOW) is None


def test_two_keys_with_one_hint_both_read_what_they_sealed() -> None:
    """A hint is one byte: keys share one once in a while, and then each is tried."""
    secrets, found = [], {}
    for number in range(1000):
        secret = number.to_bytes(32, "big")
        hint = TicketKeys([secret], "here").seal(CLAIMS, EPOCH, TERMS)[0]
        if hint in found:
            secrets = [found[hint], secret]
            break
        found[hint] = secret
    for order in (secrets, secrets[::-1]):
        for secret in secrets:
            assert TicketKeys(order, "here").unseal(TicketKeys([secret], "here").seal(CLAIMS, EPOCH, TERMS), EPOCH, TERMS, NOW) == CLAIMS


def test_good_and_bad_tickets_are_counted() -> None:
    one = keys()
    one.unseal(TICKET, TERMS, NOW)
    one.unseal(b"nonsense", TERMS, NOW)
    assert (one.tickets, one.tickets_refused, one.checked) == (1, 1, 0), "and no signature was checked for it"
