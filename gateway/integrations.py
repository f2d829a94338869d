"""What the routes for other systems are given by the composition root, as one value."""

from __future__ import annotations

from msgspec import Struct

from actors.audit import AuditLog
from actors.integrations import Keys
from actors.webhooks import Webhooks
from gateway.options import Reach
from gateway.seals import Seals


class Integrations(Struct, frozen=True):
    """The ports of `web_audit`, `web_keys` and `web_webhooks`, and what webhooks' secrets are sealed with (`delivering.SEALED_FOR`)."""

    audit: AuditLog
    keys: Keys
    webhooks: Webhooks
    seals: Seals
    reach: Reach = Reach()
