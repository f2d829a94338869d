"""What the routes for other systems are given by the composition root, as one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from actors.accounts import Claims
from actors.audit import AuditLog
from actors.integrations import Keys
from actors.webhooks import Webhooks
from gateway.seals import Seals
from gateway.webhooks.connecting import Reach


class Integrations(Struct, frozen=True):
    """The ports of `web_audit`, `web_keys` and `web_webhooks`, and what webhooks' secrets are sealed with.

    `proven`: whether whoever asks has proven themselves lately enough for what is dangerous; may raise `StorageError`.
    """

    audit: AuditLog
    keys: Keys
    webhooks: Webhooks
    proven: Callable[[Claims], Awaitable[bool]]
    seals: Seals
    reach: Reach = Reach()
