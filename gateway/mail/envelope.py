"""A mail as it is sent: headers that nobody's words can break out of, two bodies, and signed ways back.

    Rendered + address ─▶ message (text, HTML) ─▶ bytes            unsubscribe: a link with a token; one POST and it is done (RFC 8058)
                                                                   bounces: an envelope sender with a token, so that a report proves itself

Message-ID is the job's effect key, so the mail that is sent twice because a worker was killed is the same mail for whoever receives it.

Invariant: a header holds no line end, whatever it is made of; a token says for whom it was made, and nothing without our key makes one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from msgspec import Struct

from gateway.mail.render import Rendered, clean

ADDRESS_LENGTH_MAX: Final = 254
LOCAL_LENGTH_MAX: Final = 64
KEY_BYTES: Final = 32
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_UNSUBSCRIBE: Final = struct.Struct("!BQh")
_BOUNCE: Final = struct.Struct("!BQ6s")
_UNSUBSCRIBE_MAC: Final = 16
_BOUNCE_MAC: Final = 10
"""80 bits: a local part has 64 characters, and each guess is a request to us."""
VERSION: Final = 1


class BadAddress(Exception):
    """No mail can be sent to this; the text does not repeat it."""


class MailTokens:
    """Signs and reads what comes back. `keys`: `KEY_BYTES` each; the first signs, all verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        assert keys and all(len(key) == KEY_BYTES for key in keys)
        self._keys = keys

    def unsubscribe(self, user: int, kind: int) -> str:
        """For a link: no more mail of this kind (-1: of any, -2: digests) to this person. It has no end: mails are kept for years."""
        body = _UNSUBSCRIBE.pack(VERSION, user, kind)
        return base64.urlsafe_b64encode(body + self._mac(self._keys[0], b"unsubscribe", body)[:_UNSUBSCRIBE_MAC]).decode().rstrip("=")

    def read_unsubscribe(self, token: str) -> tuple[int, int] | None:
        """Whose and of which kind; None for what is none of ours. Raises nothing, whatever the text."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        body = self._verify(b"unsubscribe", raw, _UNSUBSCRIBE.size, _UNSUBSCRIBE_MAC)
        if body is None:
            return None
        version, user, kind = _UNSUBSCRIBE.unpack(body)
        return (user, kind) if version == VERSION else None

    def bounce(self, user: int, address: str) -> str:
        """For the local part of an envelope's sender: 40 letters and digits, in one case, since some servers keep none."""
        body = _BOUNCE.pack(VERSION, user, _digest(address))
        return base64.b32encode(body + self._mac(self._keys[0], b"bounce", body)[:_BOUNCE_MAC]).decode().rstrip("=").lower()

    def read_bounce(self, token: str, addresses: Sequence[str]) -> tuple[int, str] | None:
        """Whose mail came back, and from which of `addresses`; None where the token is not ours or was made for another address."""
        try:
            raw = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
        except (binascii.Error, ValueError):
            return None
        body = self._verify(b"bounce", raw, _BOUNCE.size, _BOUNCE_MAC)
        if body is None:
            return None
        version, user, digest = _BOUNCE.unpack(body)
        address = next((address for address in addresses if hmac.compare_digest(_digest(address), digest)), None)
        return (user, address) if version == VERSION and address is not None else None

    def _verify(self, purpose: bytes, raw: bytes, body_bytes: int, mac_bytes: int) -> bytes | None:
        if len(raw) != body_bytes + mac_bytes:
            return None
        body, mac = raw[:body_bytes], raw[body_bytes:]
        good = False
        for key in self._keys:
            good |= hmac.compare_digest(mac, self._mac(key, purpose, body)[:mac_bytes])
        return body if good else None

    def _mac(self, key: bytes, purpose: bytes, body: bytes) -> bytes:
        return hmac.digest(key, purpose + b"\0" + body, "sha256")


def _digest(address: str) -> bytes:
    return hashlib.sha256(address.casefold().encode("utf-8", "replace")).digest()[:6]


class Sender(Struct, frozen=True):
    """From whom mails come. `bounce_address`: where reports of failures go, with a token behind a plus; "": to the sender itself."""

    address: str
    name: str = "EduConnect"
    bounce_address: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


class Envelope(Struct, frozen=True):
    """What a server is told, and the mail itself."""

    sender: str
    recipient: str
    message_id: str
    message: bytes

    def __repr__(self) -> str:
        return f"Envelope(message_id={self.message_id!r})"


def plain_address(address: str) -> str:
    """The address as SMTP without extensions takes it: an ASCII local part, the domain as A-labels. Raises `BadAddress`."""
    local, at, domain = address.strip().rpartition("@")
    if not at or len(address) > ADDRESS_LENGTH_MAX or len(local) > LOCAL_LENGTH_MAX or not _LOCAL.fullmatch(local):
        raise BadAddress("this is no address that mail can be sent to")
    try:
        ascii_domain = domain.encode("idna").decode().lower()
    except UnicodeError:
        raise BadAddress("this is no address that mail can be sent to") from None
    if not _DOMAIN.fullmatch(ascii_domain):
        raise BadAddress("this is no address that mail can be sent to")
    return f"{local}@{ascii_domain}"


def message_id(effect_key: str, domain: str) -> str:
    """The same for every attempt at one job."""
    return f"<{hashlib.sha256(effect_key.encode()).hexdigest()[:40]}@{domain}>"


def compose(
    rendered: Rendered,
    *,
    sender: Sender,
    address: str,
    user: int,
    effect_key: str,
    now: float,
    tokens: MailTokens,
    unsubscribe: str = "",
) -> Envelope:
    """The mail. `unsubscribe`: a URL of ours that takes a POST; "": nobody unsubscribes from these. Raises `BadAddress`."""
    recipient = plain_address(address)
    mail = EmailMessage(policy=SMTP)
    id = message_id(effect_key, sender.domain)
    mail["Message-ID"] = id
    mail["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    mail["From"] = Address(clean(sender.name), addr_spec=sender.address)
    mail["To"] = Address(addr_spec=recipient)
    mail["Subject"] = clean(rendered.subject)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if unsubscribe:
        mail["List-Unsubscribe"] = f"<{unsubscribe}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(rendered.text, cte="quoted-printable")
    mail.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    mail["Content-Language"] = rendered.language
    envelope_sender = sender.address
    if sender.bounce_address:
        local, _, domain = sender.bounce_address.rpartition("@")
        envelope_sender = f"{local}+{tokens.bounce(user, recipient)}@{domain}"
    return Envelope(envelope_sender, recipient, id, mail.as_bytes())
