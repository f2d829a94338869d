"""A sample of every route by which other systems come in, and by which staff see what was done."""

from __future__ import annotations

from proofs.matrixing.site import Site, route
from proofs.matrixing.speaking import Request
from protocol.codes import Code

V1 = "/api/v1"


def _community(site: Site, path: str) -> str:
    return f"{V1}/communities/{site.place.space}/{path}"


@route("audit.of_community", foreign=True)
async def audit_of_community(site: Site) -> Request:
    return Request("GET", _community(site, "audit?limit=1"))


@route("audit.export_of_community", foreign=True)
async def export_of_community(site: Site) -> Request:
    return Request("GET", _community(site, "audit/export?since=4000000000"))


@route("audit.of_platform")
async def audit_of_platform(site: Site) -> Request:
    return Request("GET", f"{V1}/audit?limit=1")


@route("audit.export_of_platform")
async def export_of_platform(site: Site) -> Request:
    return Request("GET", f"{V1}/audit/export?since=4000000000")


# Service accounts and their keys, of a community and of the platform


@route("keys.community-list", foreign=True)
async def list_services(site: Site) -> Request:
    return Request("GET", _community(site, "services"))


@route("keys.community-make", foreign=True)
async def make_service(site: Site) -> Request:
    # There is room for one more; who asks may be a service itself.
    await site.ground.rows("delete from accounts where kind = 1 and owner_space = $1 and id <> $2", site.place.space, site.user)
    return Request("POST", _community(site, "services"), {"name": site.ground.word()})


@route("keys.community-end", foreign=True)
async def end_service(site: Site) -> Request:
    return Request("DELETE", _community(site, f"services/{await site.ground.service(site.place.space)}"))


@route("keys.community-key", foreign=True)
async def make_key(site: Site) -> Request:
    path = f"services/{await site.ground.service(site.place.space)}/keys"
    return Request("POST", _community(site, path), {"name": "key", "scopes": ["read"]})


@route("keys.community-revoke", foreign=True)
async def revoke_key(site: Site) -> Request:
    return Request("DELETE", _community(site, f"keys/{await site.ground.key(site.place.space)}"))


@route("keys.platform-list")
async def list_platform_services(site: Site) -> Request:
    return Request("GET", f"{V1}/platform/services")


@route("keys.platform-make")
async def make_platform_service(site: Site) -> Request:
    """Those of cells that are over go: there may be twenty. The other worlds' cells take no second."""
    await site.ground.rows("delete from accounts where kind = 1 and owner_space is null and created_at < now() - interval '2 seconds'")
    return Request("POST", f"{V1}/platform/services", {"name": site.ground.word()})


@route("keys.platform-end")
async def end_platform_service(site: Site) -> Request:
    return Request("DELETE", f"{V1}/platform/services/{await site.ground.service(None)}")


@route("keys.platform-key")
async def make_platform_key(site: Site) -> Request:
    return Request("POST", f"{V1}/platform/services/{await site.ground.service(None)}/keys", {"name": "key", "scopes": ["converse"]})


@route("keys.platform-revoke")
async def revoke_platform_key(site: Site) -> Request:
    return Request("DELETE", f"{V1}/platform/keys/{await site.ground.key(None)}")


@route("keys.exchange", past=(Code.UNAUTHENTICATED, Code.FORBIDDEN))
async def exchange(site: Site) -> Request:
    """A key is the account here: most who ask have none, and one that may less than its service opens no socket."""
    return Request("POST", f"{V1}/keys/token", {})


# Webhooks


@route("webhooks.list", foreign=True)
async def list_webhooks(site: Site) -> Request:
    return Request("GET", _community(site, "webhooks"))


WANTED = {"name": "matrix", "url": "https://hooks.example.org/matrix", "events": ["message.posted"]}


@route("webhooks.make", foreign=True)
async def make_webhook(site: Site) -> Request:
    await site.ground.rows("delete from webhooks where space_id = $1", site.place.space)
    return Request("POST", _community(site, "webhooks"), WANTED)


@route("webhooks.change", foreign=True)
async def change_webhook(site: Site) -> Request:
    return Request("PUT", _community(site, f"webhooks/{await site.ground.webhook(site.place.space)}"), WANTED)


@route("webhooks.delete", foreign=True)
async def delete_webhook(site: Site) -> Request:
    return Request("DELETE", _community(site, f"webhooks/{await site.ground.webhook(site.place.space)}"))


@route("webhooks.set_secret", foreign=True)
async def set_webhook_secret(site: Site) -> Request:
    return Request("POST", _community(site, f"webhooks/{await site.ground.webhook(site.place.space)}/secret"), {})


@route("webhooks.pause", foreign=True)
async def pause_webhook(site: Site) -> Request:
    return Request("POST", _community(site, f"webhooks/{await site.ground.webhook(site.place.space)}/pause"))


@route("webhooks.resume", foreign=True)
async def resume_webhook(site: Site) -> Request:
    return Request("POST", _community(site, f"webhooks/{await site.ground.webhook(site.place.space)}/resume"))


@route("webhooks.replay", foreign=True)
async def replay_webhook(site: Site) -> Request:
    path = f"webhooks/{await site.ground.webhook(site.place.space)}/replay"
    return Request("POST", _community(site, path), {"stream": site.place.channel, "after": 0})


@route("webhooks.deliveries", foreign=True)
async def deliveries(site: Site) -> Request:
    return Request("GET", _community(site, f"webhooks/{await site.ground.webhook(site.place.space)}/deliveries"))
