"""Sending a mail to the operator's server by SMTP: in a thread, a few at a time, with TLS as the settings say and never less.

    Envelope ─▶ thread ─▶ connect, TLS, log in ─▶ MAIL, RCPT, DATA ─▶ Sent
                             │                       ├─ 4xx, no answer ─▶ MailDelayed: the job tries again, ever more slowly
                             │                       ├─ 5xx, the address ─▶ AddressRefused: it gets no more mail
                             │                       ╰─ 5xx, the mail ──▶ MailRefused: a person has to look
                             ╰─ no TLS, wrong log-in ─▶ MailDelayed: the operator has to look, and nothing is lost meanwhile

smtplib blocks, and the ones that do not want asyncio. A thread cannot be cancelled, so each of its waits has a bound.

Invariant: a password leaves over TLS only; a server that does not offer TLS where it is wanted gets nothing.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from typing import Final, Literal

import trio
from msgspec import Struct

from gateway.mail.envelope import Envelope
from gateway.options import MAIL_TIMEOUT_S, MAILS_AT_ONCE

_ENHANCED: Final = re.compile(rb"\b([245]\.\d{1,3}\.\d{1,3})\b")
_HARD: Final = re.compile(r"5\.(1\.[0-36]|1\.10|2\.1)$")
"""RFC 3463: no such mailbox or system, moved, disabled. What is full, too large or against a policy may be otherwise tomorrow."""
_HARD_CODES: Final = frozenset({550, 551, 553})


class SmtpOptions(Struct, frozen=True):
    """The operator's server. `tls`: from the first byte, by STARTTLS, or none (a server on this machine)."""

    host: str
    port: int = 587
    tls: Literal["implicit", "starttls", "none"] = "starttls"
    username: str = ""
    password: str = ""
    timeout_s: float = MAIL_TIMEOUT_S
    concurrent_max: int = MAILS_AT_ONCE

    def __repr__(self) -> str:
        return f"SmtpOptions(host={self.host!r}, port={self.port})"


class MailDelayed(Exception):
    """Not now; the same later may be taken. The text is for operators and has no address in it."""


class AddressRefused(Exception):
    """The server says for good that there is no such mailbox. `status`: such as 5.1.1."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class MailRefused(Exception):
    """The server says for good that it will not have this mail."""


class Smtp:
    """Fits `actors.mail.Mailer`. `context`: whom TLS trusts; the system's own by default."""

    def __init__(self, options: SmtpOptions, *, context: ssl.SSLContext | None = None) -> None:
        if options.username and options.tls == "none":
            raise ValueError("a log-in needs TLS: mail.tls is none")
        self._options = options
        self._context = context or ssl.create_default_context()
        self._limiter = trio.CapacityLimiter(options.concurrent_max)
        self.sent = 0
        self.delayed = 0
        self.refused = 0

    async def send(self, envelope: Envelope) -> None:
        """Returns when the server has taken it. Raises `MailDelayed`, `AddressRefused`, `MailRefused`."""
        try:
            await trio.to_thread.run_sync(self._send, envelope, limiter=self._limiter, abandon_on_cancel=True)
        except MailDelayed:
            self.delayed += 1
            raise
        except (AddressRefused, MailRefused):
            self.refused += 1
            raise
        self.sent += 1

    def _send(self, envelope: Envelope) -> None:
        options = self._options
        try:
            with self._connect() as smtp:
                if options.tls == "starttls":
                    smtp.starttls(context=self._context)
                if options.username:
                    smtp.login(options.username, options.password)
                smtp.sendmail(envelope.sender, [envelope.recipient], envelope.message)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[envelope.recipient]
            raise _refusal(code, said) from None
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= 500:
                raise MailRefused(f"the server refused the mail with {error.smtp_code}") from None
            raise MailDelayed(f"the server answered {error.smtp_code} to the mail") from None
        except smtplib.SMTPResponseException as error:
            raise MailDelayed(f"{type(error).__name__} {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailDelayed(type(error).__name__) from None

    def _connect(self) -> smtplib.SMTP:
        options = self._options
        if options.tls == "implicit":
            return smtplib.SMTP_SSL(options.host, options.port, timeout=options.timeout_s, context=self._context)
        return smtplib.SMTP(options.host, options.port, timeout=options.timeout_s)


def _refusal(code: int, said: bytes | str) -> Exception:
    text = said if isinstance(said, bytes) else said.encode("utf-8", "replace")
    found = _ENHANCED.search(text)
    status = found[1].decode() if found else ""
    if is_hard(status) or (not status and code in _HARD_CODES):
        return AddressRefused(status or str(code))
    if code >= 500 and not status.startswith("5.2."):
        return MailRefused(f"the server refused the recipient with {code} {status}".rstrip())
    return MailDelayed(f"the server answered {code} {status} to the recipient".rstrip())


def is_hard(status: str) -> bool:
    """Whether an enhanced status says that the address will not take mail again."""
    return _HARD.match(status) is not None
