"""What identity is told by the settings: how long links last, where they lead, how fresh a proof must be.

Invariant: no address in a link comes from a request; whoever forges a Host header changes no mail.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.accounts import Declined
from actors.mail import MailSeal, Outgoing
from persistence.identity.links import Purpose
from protocol.codes import Code

FRAGMENTS: Final = {Purpose.ADDRESS: "address", Purpose.PASSWORD: "password"}
STALE: Final = Declined(Code.STEP_UP, "this needs a new proof of who you are: POST /api/v1/auth/step-up")
TEMPLATES: Final = {Purpose.ADDRESS: "verify", Purpose.PASSWORD: "reset"}


class IdentityRules(Struct, frozen=True):
    """How long things last, in seconds, and where links lead."""

    page_url: str = "http://127.0.0.1:8000"
    """Where the web app is: links open its page `#/link`."""
    address_link_s: int = 24 * 3600
    reset_link_s: int = 3600
    step_up_s: int = 600
    """How long ago somebody may have proven themselves before something dangerous."""

    def life_s(self, purpose: Purpose) -> int:
        """How long a link for this is good."""
        return self.address_link_s if purpose is Purpose.ADDRESS else self.reset_link_s

    def mail(self, purpose: Purpose, user: int, address: str, secret: str, seal: MailSeal | None) -> Outgoing:
        """The mail that carries a link. The secret is behind the `#`, which no browser sends to anybody and no server logs; until it is
        sent it is sealed."""
        assert seal is not None, "who makes links is given what seals them"
        sealed = seal.seal(user, {"link": f"{self.page_url}/#/link/0/{FRAGMENTS[purpose]}={secret}", "code": secret})
        return Outgoing(TEMPLATES[purpose], user, address, {"hours": f"{self.life_s(purpose) / 3600:g}"}, sealed)
