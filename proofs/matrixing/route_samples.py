"""A sample of every route.

What would need a browser, a mailbox or another system is asked for wrongly on purpose, with what only somebody who was let in is told
(`past`); what it does when it is asked for rightly is tried where it is built.
"""

from __future__ import annotations

from proofs.matrixing.ground import PASSWORD
from proofs.matrixing.site import Site, route
from proofs.matrixing.speaking import Request
from proofs.matrixing.standing import Manner
from protocol.codec import encode, join
from protocol.codes import Code
from protocol.frames import Sync

V1 = "/api/v1"


@route("home")
async def home(site: Site) -> Request:
    return Request("GET", "/")


@route("health")
async def health(site: Site) -> Request:
    return Request("GET", "/health")


@route("ready")
async def ready(site: Site) -> Request:
    return Request("GET", "/ready")


@route("metrics")
async def metrics(site: Site) -> Request:
    return Request("GET", "/metrics")


@route("jwks")
async def jwks(site: Site) -> Request:
    return Request("GET", "/.well-known/jwks.json")


# Log-in and sessions


@route("auth.register")
async def register(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/register", {"name": site.ground.word(), "password": PASSWORD})


@route("auth.log_in")
async def log_in(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/login", {"name": site.place.name, "password": PASSWORD})


@route("auth.refresh", past=(Code.UNAUTHENTICATED,))
async def refresh(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/refresh", {"refresh_token": "A" * 43})


@route("auth.log_out", ended_too=True)
async def log_out(site: Site) -> Request:
    """A session that is over may be ended again: who did not hear the answer asks once more."""
    return Request("POST", f"{V1}/auth/logout")


@route("auth.log_out_everywhere")
async def log_out_everywhere(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/logout-everywhere")


@route("auth.tell_who_asks")
async def tell_who_asks(site: Site) -> Request:
    return Request("GET", f"{V1}/auth/me")


@route("auth.list_sessions")
async def list_sessions(site: Site) -> Request:
    return Request("GET", f"{V1}/auth/sessions")


@route("auth.end_session", foreign=True)
async def end_session(site: Site) -> Request:
    whose = site.user if site.is_own and site.actor.standing.manner is not Manner.NOBODY else site.other.user
    return Request("DELETE", f"{V1}/auth/sessions/{(await site.ground.log_in(whose)).session}")


@route("devices.add")
async def add_device(site: Site) -> Request:
    return Request("POST", f"{V1}/devices", {"name": "another"})


@route("sync.sync")
async def sync(site: Site) -> Request:
    return Request("POST", f"{V1}/sync", join([encode(Sync())]), "application/msgpack")


# The account


@route("account.show")
async def show_account(site: Site) -> Request:
    return Request("GET", f"{V1}/account")


@route("account.change_password")
async def change_password(site: Site) -> Request:
    return Request("POST", f"{V1}/account/password", {"old_password": PASSWORD, "new_password": PASSWORD[::-1]})


@route("account.offer_address")
async def offer_address(site: Site) -> Request:
    return Request("PUT", f"{V1}/account/email", {"email": f"{site.ground.word()}@example.org"})


@route("account.withdraw_address")
async def withdraw_address(site: Site) -> Request:
    return Request("DELETE", f"{V1}/account/email")


@route("account.set_language")
async def set_language(site: Site) -> Request:
    return Request("PUT", f"{V1}/account/language", {"language": "pt-BR"})


@route("account.list_devices")
async def list_devices(site: Site) -> Request:
    return Request("GET", f"{V1}/account/devices")


@route("account.rename_device", foreign=True)
async def rename_device(site: Site) -> Request:
    device = site.actor.login.device if site.is_own else site.other.device
    return Request("PATCH", f"{V1}/account/devices/{device}", {"name": "mine"})


@route("recovery.forgot")
async def forgot(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/password/forgot", {"account": site.ground.word()})


@route("recovery.reset", past=(Code.GONE,))
async def reset(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/password/reset", {"code": "A" * 43, "password": PASSWORD[::-1]})


@route("recovery.verify", past=(Code.GONE,))
async def verify(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/email/verify", {"code": "A" * 43})


@route("recovery.page")
async def link_page(site: Site) -> Request:
    return Request("GET", "/account/link")


# Second factors


@route("mfa.answer", past=(Code.MFA,))
async def answer_challenge(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/mfa", {"challenge": "A" * 43, "code": "123456"})


@route("mfa.step_up")
async def step_up(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/step-up", {"password": PASSWORD})


@route("mfa.begin_step_up")
async def begin_step_up(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/step-up/challenge")


@route("mfa.list_methods")
async def list_methods(site: Site) -> Request:
    return Request("GET", f"{V1}/auth/methods")


@route("mfa.offer_totp")
async def offer_totp(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/totp")


@route("mfa.confirm_totp", past=(Code.MFA,))
async def confirm_totp(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/totp/confirm", {"code": "123456"})


@route("mfa.remove_totp", past=(Code.MFA, Code.CONFLICT))
async def remove_totp(site: Site) -> Request:
    return Request("DELETE", f"{V1}/auth/totp")


@route("mfa.renew_recovery_codes", past=(Code.MFA, Code.CONFLICT))
async def renew_recovery_codes(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/recovery-codes")


@route("passkeys.begin_log_in")
async def begin_passkey_log_in(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/passkeys/challenge", {})


@route("passkeys.offer")
async def offer_passkey(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/passkeys/offer")


@route("passkeys.add", past=(Code.MFA, Code.INVALID))
async def add_passkey(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/passkeys", {"challenge": "A" * 43, "passkey": {}})
