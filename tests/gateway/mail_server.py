"""A real SMTP server with a mailbox, in a thread of its own; it can be told to refuse."""

from __future__ import annotations

import mailbox
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from ssl import SSLContext
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult, LoginPassword


class Post(Mailbox):
    """Keeps mails in a Maildir. `refusals`: what RCPT and DATA are answered with, by recipient; once taken away they are used up."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.refusals: dict[str, list[str]] = {}
        self.data_refusals: list[str] = []
        self.senders: list[str] = []
        self.lost = 0
        """So many answers after DATA are lost: the mail is in the box, and the line is cut."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.refusals.get(address):
            return self.refusals[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.data_refusals:
            return self.data_refusals.pop(0)
        self.senders.append(envelope.mail_from)
        said: str = await super().handle_DATA(server, session, envelope)
        if self.lost:
            self.lost -= 1
            server.transport.abort()
        return said

    def mails(self) -> list[EmailMessage]:
        """What is in the box, in no order."""
        box = mailbox.Maildir(self.folder)
        return [read(bytes(message)) for message in box]


def read(raw: bytes) -> EmailMessage:
    """A mail as a mail program reads it."""
    return BytesParser(_class=EmailMessage, policy=default).parsebytes(raw)


def part(mail: EmailMessage, kind: str) -> str:
    """The text of one of its bodies: `plain` or `html`."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


class _OnFreePort(Controller):
    """The library looks for its server on the port that it was told, so a free one is taken beforehand."""

    def __init__(self, handler: Post, **options: Any) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        super().__init__(handler, port=self._listening.getsockname()[1], **options)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listening, ssl=self.ssl_context)


@contextmanager
def mail_server(
    folder: Path, *, tls: SSLContext | None = None, starttls: SSLContext | None = None, login: tuple[str, str] | None = None
) -> Iterator[tuple[Post, int]]:
    """The box and the port."""
    post = Post(folder / "box")

    def judge(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword) and login is not None
        # Not handled: the library says 535. Else nothing is said, and the client waits until it gives up.
        return AuthResult(success=(data.login.decode(), data.password.decode()) == login, handled=False)

    # The library knows TLS only by STARTTLS; where it is there from the first byte, it must not ask for it.
    options: dict[str, Any] = {"authenticator": judge, "auth_required": tls is None, "auth_require_tls": tls is None} if login else {}
    if starttls is not None:
        options |= {"tls_context": starttls, "require_starttls": True}
    controller = _OnFreePort(post, hostname="127.0.0.1", ssl_context=tls, **options)
    controller.start()
    try:
        yield post, controller.port
    finally:
        controller.stop()
