"""Reports that a mail could not be delivered (RFC 3464), as the operator's mail server hands them on.

    bytes ─▶ multipart/report ─▶ message/delivery-status: action, status, recipient ─▶ hard? ─▶ the address gets no more mail
                │ to whom the report was sent: bounces+TOKEN@… ─▶ the token was made for that very recipient

Anybody can write such a report and send it to the bounce address; only a token that came back from the mail itself makes it count, and for
the one address that the mail was for.

Invariant: nothing is believed of a report but what its token proves; whatever the bytes, the answer is a value and the work is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from typing import Final

from msgspec import Struct

from gateway.mail.envelope import ADDRESS_LENGTH_MAX, BadAddress, MailTokens, plain_address
from gateway.mail.smtp import is_hard

REPORT_BYTES_MAX: Final = 256 * 1024
PARTS_MAX: Final = 20
RECIPIENTS_MAX: Final = 20
_TOKEN: Final = re.compile(r"\+([A-Za-z2-7]{40})@")
_SENT_TO: Final = ("To", "Delivered-To", "X-Original-To", "Envelope-To")
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


class Bounce(Struct, frozen=True):
    """Whose mail came back from which address. `hard`: for good."""

    user: int
    address: str
    status: str
    hard: bool

    def __repr__(self) -> str:
        return f"Bounce(user={self.user}, status={self.status!r})"


def read_report(raw: bytes, tokens: MailTokens) -> Bounce | None:
    """What a report says, if it is one and its token is ours. Raises nothing, whatever the bytes."""
    if len(raw) > REPORT_BYTES_MAX:
        return None
    try:
        report = message_from_bytes(raw, policy=compat32)
        recipients = dict(_recipients(report))
        candidates = _tokens(report)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        # The library's parser raises these on some malformed mails, each time at another place.
        return None
    for token in candidates:
        found = tokens.read_bounce(token, list(recipients))
        if found is not None:
            user, address = found
            action, status = recipients[address]
            return Bounce(user, address, status, action == "failed" and is_hard(status))
    return None


def _recipients(report: Message) -> Iterator[tuple[str, tuple[str, str]]]:
    """Of each recipient: action and status."""
    seen = 0
    for count, part in enumerate(report.walk()):
        if count >= PARTS_MAX:
            return
        blocks = part.get_payload()
        if part.get_content_type() != "message/delivery-status" or not isinstance(blocks, list):
            continue
        for block in blocks:
            if not isinstance(block, Message):
                continue
            status = _STATUS.match(str(block.get("Status", "")).strip())
            action = str(block.get("Action", "")).strip().lower()
            for name in ("Original-Recipient", "Final-Recipient"):
                _, _, address = str(block.get(name, "")).partition(";")
                if status is None or not address or len(address) > ADDRESS_LENGTH_MAX + 8:
                    continue
                try:
                    yield plain_address(address.strip().strip("<>")), (action, status[0])
                except BadAddress:
                    continue
            seen += 1
            if seen >= RECIPIENTS_MAX:
                return


def _tokens(report: Message) -> list[str]:
    """What may be tokens, in the order of the headers that say to whom the report was sent."""
    found: list[str] = []
    for name in _SENT_TO:
        for value in (report.get_all(name) or [])[:5]:
            found += _TOKEN.findall(str(value)[:2000])
    return found[:10]
