"""Headers hold nobody's line ends; what comes back proves itself; whatever the bytes, the answer is a value."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail.bounces import read_report
from gateway.mail.envelope import BadAddress, Envelope, MailTokens, Sender, compose, message_id, plain_address
from gateway.mail.render import Letter, render
from tests.gateway.mail_server import part, read

NOW = 1_800_000_000.0
TOKENS = MailTokens([b"k" * 32])
SENDER = Sender("hello@learn.example", "EduConnect", "bounces@learn.example")
UNSUBSCRIBE = "https://learn.example/api/v1/mail/unsubscribe?t=abc"


def written(name: str = "Ada", address: str = "ada@example.org", sender: Sender = SENDER, key: str = "e1") -> Envelope:
    letter = Letter("notice", "ar", {"name": name}, unsubscribe=UNSUBSCRIBE)
    return compose(render(letter), sender=sender, address=address, user=7, effect_key=key, now=NOW, tokens=TOKENS, unsubscribe=UNSUBSCRIBE)


def test_a_mail_says_what_it_must_to_mail_programs() -> None:
    mail = read(written().message)
    assert mail["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>" and mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Content-Language"] == "ar"
    assert mail["To"] == "ada@example.org" and mail["From"] == "EduConnect <hello@learn.example>"
    assert "Ada" in part(mail, "plain") and "Ada" in part(mail, "html")
    assert re.fullmatch(rb"[\x20-\x7e\r\n]*", written().message), "every server takes it as it is"


def test_a_mail_that_is_sent_again_is_the_same_mail_and_another_is_another() -> None:
    assert written().message_id == written().message_id == read(written().message)["Message-ID"]
    assert written(key="e2").message_id != written().message_id == message_id("e1", "learn.example")


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_words_of_anybody_make_a_header(name: str, from_name: str) -> None:
    mail = read(written(name + "\r\nBcc: eve@example.org\n\n", sender=Sender("hello@learn.example", from_name + "\r\nX-Evil: 1")).message)
    assert mail["Bcc"] is None and mail["X-Evil"] is None
    assert set(mail.keys()) == set(read(written().message).keys())


@given(st.one_of(st.text(max_size=60), st.emails(), st.from_regex(r"\A[a-z.\r\n<>,;: ]{1,20}@[a-z.\r\n ,;]{1,20}\Z")))
def test_what_is_no_address_is_refused_and_what_is_one_has_no_room_for_another(text: str) -> None:
    try:
        address = plain_address(text)
    except BadAddress as error:
        assert not text.strip() or text not in str(error) or len(text) < 3
        return
    assert re.fullmatch(r"[!-~]+@[a-z0-9.-]+", address) and address.count("@") == 1
    assert not set(address) & set("\r\n<>,;: ")


def test_a_domain_in_any_script_is_written_as_servers_know_it() -> None:
    assert plain_address(" Ada@Bücher.example ") == "Ada@xn--bcher-kva.example"


@given(st.integers(1, 2**53 - 1), st.integers(-2, 255))
def test_an_unsubscribe_token_says_for_whom_and_what_it_was_made(user: int, kind: int) -> None:
    token = TOKENS.unsubscribe(user, kind)
    assert TOKENS.read_unsubscribe(token) == (user, kind)
    rotated = MailTokens([b"n" * 32, b"k" * 32])
    assert rotated.read_unsubscribe(token) == (user, kind) and rotated.unsubscribe(user, kind) != token
    assert MailTokens([b"n" * 32]).read_unsubscribe(token) is None


@given(st.integers(0, 35), st.integers(1, 255))
def test_an_unsubscribe_token_with_one_character_changed_is_none(at: int, by: int) -> None:
    token = TOKENS.unsubscribe(7, 1)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = token[:at] + letters[(letters.index(token[at]) + by) % 64] + token[at + 1 :]
    assert changed == token or TOKENS.read_unsubscribe(changed) is None


@given(st.text(max_size=120))
def test_any_text_is_a_token_of_ours_or_none_and_nothing_is_raised(text: str) -> None:
    assert TOKENS.read_unsubscribe(text) is None
    assert TOKENS.read_bounce(text, ["ada@example.org"]) is None


def report(to: str, *, address: str = "ada@example.org", status: str = "5.1.1", action: str = "failed") -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example\r\nTo: {to}\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nI could not deliver it.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; {address}\r\nAction: {action}\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n\r\n--b--\r\n"
    ).encode()


def test_a_report_counts_for_the_address_that_its_mail_was_for() -> None:
    sender = written().sender
    assert re.fullmatch(r"bounces\+[a-z2-7]{40}@learn\.example", sender) and len(sender.partition("@")[0]) <= 64
    bounce = read_report(report(sender), TOKENS)
    assert bounce is not None and (bounce.user, bounce.address, bounce.status, bounce.hard) == (7, "ada@example.org", "5.1.1", True)
    shouted = read_report(report(sender.upper()), TOKENS)
    assert shouted is not None and shouted.hard, "some servers keep no small letters"


@pytest.mark.parametrize(("status", "action"), [("4.2.2", "delayed"), ("5.2.2", "failed"), ("5.7.1", "failed"), ("5.1.1", "delayed")])
def test_what_may_be_otherwise_tomorrow_stops_no_mail(status: str, action: str) -> None:
    bounce = read_report(report(written().sender, status=status, action=action), TOKENS)
    assert bounce is not None and not bounce.hard


def test_a_forged_report_stops_nobodys_mail() -> None:
    foreign = MailTokens([b"x" * 32]).bounce(7, "ada@example.org")
    assert read_report(report("bounces@learn.example"), TOKENS) is None
    assert read_report(report(f"bounces+{foreign}@learn.example"), TOKENS) is None
    assert read_report(report(written().sender, address="bob@example.org"), TOKENS) is None, "a token of one address, shown for another"
    assert read_report(report(f"bounces+{TOKENS.unsubscribe(7, 1)}@learn.example"), TOKENS) is None


@given(st.binary(max_size=400), st.integers(0, 900))
def test_any_bytes_are_a_report_or_none(raw: bytes, cut: int) -> None:
    whole = report(f"bounces+{TOKENS.bounce(7, 'ada@example.org')}@learn.example")
    assert read_report(raw, TOKENS) is None
    assert read_report(whole[:cut], TOKENS) in (None, read_report(whole, TOKENS))
    assert read_report(whole[:cut] + raw, TOKENS) in (None, read_report(whole, TOKENS))


def test_a_report_nested_beyond_measure_is_none() -> None:
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(3000))
    assert read_report(deep, TOKENS) is None
