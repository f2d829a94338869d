"""Mails are in a real server's mailbox, by TLS where it is wanted; what the server refuses is told apart."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.mail.envelope import Envelope, MailTokens, Sender, compose
from gateway.mail.folder import MailFolder
from gateway.mail.render import Letter, render
from gateway.mail.smtp import AddressRefused, MailDelayed, MailRefused, Smtp, SmtpOptions
from tests.gateway.certificates import Certificates, make_certificates
from tests.gateway.mail_server import mail_server, part

TOKENS = MailTokens([b"k" * 32])
SENDER = Sender("hello@learn.example")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def letter(to: str = "ada@example.org", key: str = "e1", language: str = "en") -> Envelope:
    rendered = render(Letter("verify", language, {"name": "Ada", "hours": "24", "code": "c0de"}, link="https://learn.example/#k"))
    return compose(rendered, sender=SENDER, address=to, user=7, effect_key=key, now=1_800_000_000.0, tokens=TOKENS)


@pytest.mark.parametrize("language", ["en", "es", "fr", "ar", "sw"])
async def test_a_mail_is_in_the_mailbox_as_it_was_written(tmp_path: Path, language: str) -> None:
    with mail_server(tmp_path) as (post, port):
        envelope = letter(language=language)
        await Smtp(SmtpOptions("127.0.0.1", port, "none")).send(envelope)
        [mail] = post.mails()
    assert mail["Message-ID"] == envelope.message_id and mail["X-RcptTo"] == "ada@example.org"
    rendered = render(Letter("verify", language, {"name": "Ada", "hours": "24", "code": "c0de"}, link="https://learn.example/#k"))
    assert part(mail, "plain").split() == rendered.text.split() and part(mail, "html").split() == rendered.html.split()
    assert mail["Subject"] == rendered.subject


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_log_in_goes_over_tls_and_a_wrong_one_delays_the_mail(tmp_path: Path, certificates: Certificates, tls: str) -> None:
    server = certificates.server
    context = certificates.client
    how = {"starttls": server} if tls == "starttls" else {"tls": server}
    with mail_server(tmp_path, login=("us", "s3cret"), **how) as (post, port):
        for password in ("wrong", "s3cret"):
            smtp = Smtp(SmtpOptions("localhost", port, tls, "us", password), context=context)  # type: ignore[arg-type]
            if password == "wrong":
                with pytest.raises(MailDelayed) as raised:
                    await smtp.send(letter())
                assert str(raised.value) == "SMTPAuthenticationError 535"
            else:
                await smtp.send(letter())
        assert len(post.mails()) == 1


async def test_a_server_without_tls_or_with_a_foreign_certificate_gets_nothing(tmp_path: Path, certificates: Certificates) -> None:
    with mail_server(tmp_path) as (post, port):
        with pytest.raises(MailDelayed):
            await Smtp(SmtpOptions("localhost", port, "starttls", "us", "s3cret"), context=certificates.client).send(letter())
        assert post.mails() == []
    with mail_server(tmp_path, starttls=certificates.server) as (post, port):
        with pytest.raises(MailDelayed):
            await Smtp(SmtpOptions("localhost", port, "starttls"), context=ssl.create_default_context()).send(letter())
        assert post.mails() == []


def test_a_password_without_tls_does_not_start() -> None:
    with pytest.raises(ValueError, match=r"needs TLS"):
        Smtp(SmtpOptions("mail.example", 25, "none", "us", "s3cret"))


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        ("550 5.1.1 no such user", AddressRefused),
        ("550 no such user here", AddressRefused),
        ("553 5.1.3 bad address", AddressRefused),
        ("550 5.7.1 blocked by policy", MailRefused),
        ("552 5.2.2 mailbox full", MailDelayed),
        ("450 4.2.1 try again", MailDelayed),
        ("421 4.3.2 going away", MailDelayed),
    ],
)
async def test_a_refused_recipient_is_an_address_a_mail_or_a_time_that_is_wrong(tmp_path: Path, said: str, raised: type[Exception]) -> None:
    with mail_server(tmp_path) as (post, port):
        post.refusals["ada@example.org"] = [said]
        smtp = Smtp(SmtpOptions("127.0.0.1", port, "none"))
        with pytest.raises(raised) as error:
            await smtp.send(letter())
        assert "ada" not in str(error.value)
        assert post.mails() == []
        await smtp.send(letter())
        assert len(post.mails()) == 1


async def test_a_mail_that_is_refused_for_what_it_says_leaves_the_address_alone(tmp_path: Path) -> None:
    with mail_server(tmp_path) as (post, port):
        post.data_refusals = ["554 5.7.1 looks like spam", "451 4.7.1 greylisted"]
        smtp = Smtp(SmtpOptions("127.0.0.1", port, "none"))
        with pytest.raises(MailRefused):
            await smtp.send(letter())
        with pytest.raises(MailDelayed):
            await smtp.send(letter())
        assert (smtp.sent, smtp.refused, smtp.delayed) == (0, 1, 1)


async def test_a_server_that_is_away_delays_the_mail() -> None:
    with pytest.raises(MailDelayed):
        await Smtp(SmtpOptions("127.0.0.1", 1, "none", timeout_s=2.0)).send(letter())


async def test_a_folder_holds_each_mail_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    folder = MailFolder(tmp_path / "mail")
    for key in ("e1", "e1", "e2"):
        await folder.send(letter(key=key))
    files = sorted((tmp_path / "mail").iterdir())
    assert len(files) == 2 and all(file.stat().st_mode & 0o777 == 0o600 for file in files)
