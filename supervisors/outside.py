"""What other systems are given: the audit, keys and webhooks, put together for one process.

Outside(bridge, herald, keys, settings) ─┬ integrations ─▶ the HTTP side, in every gateway
                                         ├ deliverer ────▶ jobs of kind `webhooks.deliver`
                                         ╰ watch ────────▶ orders those jobs, in the role `jobs`
"""

from __future__ import annotations

import random
import ssl
import time
from ipaddress import ip_network

from actors.storage import Herald
from gateway.integrations import Integrations
from gateway.options import DeliveryRules, PostBounds, Reach
from gateway.seals import DERIVED_BYTES, Seals
from gateway.tokens import KeySet
from gateway.webhooks.delivering import SEALED_FOR, Deliverer
from gateway.webhooks.posting import Poster
from persistence.audit import PostgresAudit
from persistence.bridge import Bridge
from persistence.keys import PostgresKeys
from persistence.webhook_deliveries import PostgresDeliveries
from persistence.webhook_watch import WebhookWatch
from persistence.webhooks import PostgresWebhooks
from supervisors.settings import Webhooks


class Outside:
    """The parts above, over one bridge."""

    def __init__(self, bridge: Bridge, herald: Herald, keys: KeySet, settings: Webhooks) -> None:
        seals = Seals(keys.derive(SEALED_FOR, DERIVED_BYTES))
        forbidden = tuple(ip_network(network) for network in settings.forbidden_networks)
        reach = Reach(settings.ports, settings.loopback_allowed, forbidden)
        deliveries = PostgresDeliveries(bridge)
        bounds = PostBounds(total_s=settings.total_s, connect_s=min(settings.total_s, 5.0))
        poster = Poster(reach, bounds, certificates=_trusted(settings.certificates))
        # A lease outlasts the attempt, and the statement that settles it.
        rules = DeliveryRules(lease_s=settings.total_s + 30.0, give_up_s=settings.give_up_hours * 3600.0)
        self.integrations = Integrations(PostgresAudit(bridge), PostgresKeys(bridge, herald), PostgresWebhooks(bridge), seals, reach)
        self.deliverer = Deliverer(deliveries, poster, seals, rules, wall=time.time, random=random.random)
        self.watch = WebhookWatch(deliveries)


def _trusted(path: str) -> ssl.SSLContext:
    """Whom TLS trusts: the system's authorities, and those of a file. Blocks; raises `OSError` for a file that has gone
    since it was checked."""
    context = ssl.create_default_context()
    if path:
        context.load_verify_locations(path)
    return context
