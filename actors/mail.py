"""Mail: what is asked for in a transaction, and written and sent by a job later.

    transaction ─order_mail─▶ job `mail.send` ─▶ the person's language ─▶ template ─▶ SMTP
                                  ╰─ its effect key is the Message-ID: a repeat is recognised

Invariants: what is to be sent is decided in the transaction that causes it; whether the address still takes mail is asked when it is sent.
A link that opens something lies in the job sealed (`MailSeal`): who copies the database, or looks at jobs, cannot follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Raw, Struct

from actors.jobs import Order

MAIL_SEND: Final = "mail.send"
TEMPLATE_LENGTH_MAX: Final = 40
VALUES_MAX: Final = 20
VALUE_LENGTH_MAX: Final = 2000


class Outgoing(Struct, frozen=True):
    """One mail. `template` names a folder's entry in gateway/mail/templates; `values` fill it in; they are never logged. What of
    them opens something (a link to reset a password) is in `sealed`, by `MailSeal`.

    `to_user` decides the language, and the address, unless there is an `address` of its own: one that is to be verified first. 0: nobody
    with an account.
    """

    template: Annotated[str, Meta(min_length=1, max_length=TEMPLATE_LENGTH_MAX, pattern="^[a-z_]+$")]
    to_user: Annotated[int, Meta(ge=0)]
    address: Annotated[str, Meta(max_length=254)] = ""
    values: Annotated[dict[str, Annotated[str, Meta(max_length=VALUE_LENGTH_MAX)]], Meta(max_length=VALUES_MAX)] = {}
    sealed: bytes = b""


class MailSeal(Protocol):
    """Seals what a mail must say and nobody else may read meanwhile; `gateway.mail.sealing.MailSeals`."""

    def seal(self, user: int, values: Mapping[str, str]) -> bytes:
        """These values, for a mail to this account alone."""
        ...

    def open(self, user: int, sealed: bytes) -> dict[str, str] | None:
        """What was sealed; None where it was for somebody else, was changed, or its key has gone."""
        ...


def order_mail(mail: Outgoing, *, key: str = "", priority: int = 0, deadline_s: float = 0.0) -> Order:
    """The job that sends it. Links that expire have a deadline: a mail that comes too late only confuses. `key` as in `Order`."""
    return Order(MAIL_SEND, Raw(msgspec.msgpack.encode(mail)), priority=priority, key=key, deadline_s=deadline_s)
