"""A sample of every route.

What would need a browser, a mailbox or another system is asked for wrongly on purpose, with what only somebody who was let in is told
(`past`); what it does when it is asked for rightly is tried where it is built.
"""

from __future__ import annotations

import time

from gateway.options import SITE
from proofs.matrixing.ground import PASSWORD
from proofs.matrixing.site import Site, route
from proofs.matrixing.speaking import Request
from proofs.matrixing.standing import Manner
from protocol.codec import encode, join
from protocol.codes import Code
from protocol.frames import Sync

V1 = "/api/v1"


def _whose(site: Site) -> int:
    """The actor, or somebody else; of whom there is no account, too."""
    return site.user if site.is_own and site.actor.standing.manner is not Manner.NOBODY else site.other.user


@route("site.page")
async def page(site: Site) -> Request:
    return Request("GET", "/")


@route("site.file")
async def file(site: Site) -> Request:
    html = (SITE / "index.html").read_text()
    return Request("GET", html.partition('<script type="module" src="')[2].partition('"')[0])


@route("site.worker")
async def worker(site: Site) -> Request:
    return Request("GET", "/worker.js")


@route("site.icon")
async def icon(site: Site) -> Request:
    return Request("GET", "/icon.svg")


@route("site.manifest")
async def manifest(site: Site) -> Request:
    return Request("GET", "/manifest.webmanifest")


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


@route("auth.log_out_others")
async def log_out_others(site: Site) -> Request:
    return Request("POST", f"{V1}/auth/logout-others")


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
    return Request("DELETE", f"{V1}/auth/sessions/{(await site.ground.log_in(_whose(site))).session}")


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
    await site.ground.set_password(site.user)
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
    await site.ground.set_password(site.user)
    return Request("POST", f"{V1}/auth/step-up", {"password": PASSWORD})


@route("mfa.begin_step_up", past=(Code.MFA,))
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


@route("mfa.remove_totp", past=(Code.MFA, Code.NOT_FOUND))
async def remove_totp(site: Site) -> Request:
    return Request("DELETE", f"{V1}/auth/totp")


@route("mfa.renew_recovery_codes", past=(Code.MFA, Code.NOT_FOUND))
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


@route("passkeys.rename", foreign=True)
async def rename_passkey(site: Site) -> Request:
    return Request("PATCH", f"{V1}/auth/passkeys/{await site.ground.passkey(_whose(site))}", {"name": "phone"})


@route("passkeys.remove", foreign=True)
async def remove_passkey(site: Site) -> Request:
    return Request("DELETE", f"{V1}/auth/passkeys/{await site.ground.passkey(_whose(site))}")


# Trust


@route("learning.courses")
async def courses(site: Site) -> Request:
    return Request("GET", f"{V1}/learning/{site.place.space}/courses")


@route("learning.grades")
async def grades(site: Site) -> Request:
    return Request("GET", f"{V1}/learning/{site.place.space}/grades")


@route("learning.learners")
async def learners(site: Site) -> Request:
    return Request("GET", f"{V1}/learning/{site.place.space}/learners")


@route("trust.own")
async def own_trust(site: Site) -> Request:
    return Request("GET", f"{V1}/trust")


@route("trust.seeds")
async def seeds(site: Site) -> Request:
    return Request("GET", f"{V1}/trust/seeds")


@route("trust.name_seed")
async def name_seed(site: Site) -> Request:
    return Request("PUT", f"{V1}/trust/seeds/{site.place.pupil.user}")


@route("trust.unname_seed")
async def unname_seed(site: Site) -> Request:
    await site.ground.rows("insert into trust_seeds (user_id, named_by) values ($1, $1) on conflict do nothing", site.place.pupil.user)
    return Request("DELETE", f"{V1}/trust/seeds/{site.place.pupil.user}")


# Roles


@route("roles.of_community", foreign=True)
async def roles_of_community(site: Site) -> Request:
    return Request("GET", _community(site, "roles"))


@route("roles.of_platform")
async def roles_of_platform(site: Site) -> Request:
    return Request("GET", f"{V1}/platform/roles")


@route("roles.give")
async def give_role(site: Site) -> Request:
    return Request("PUT", f"{V1}/platform/roles/{await site.ground.role(None)}/users/{site.place.pupil.user}")


@route("roles.take")
async def take_role(site: Site) -> Request:
    return Request("DELETE", f"{V1}/platform/roles/{await site.ground.role(None)}/users/{site.place.pupil.user}")


# The operator's


@route("operator.page")
async def operator_page(site: Site) -> Request:
    return Request("GET", "/operator")


@route("operator.jobs")
async def jobs(site: Site) -> Request:
    return Request("GET", f"{V1}/operator/jobs")


@route("operator.show")
async def show_job(site: Site) -> Request:
    return Request("GET", f"{V1}/operator/jobs/{await site.ground.job()}")


@route("operator.cancel")
async def cancel_job(site: Site) -> Request:
    return Request("POST", f"{V1}/operator/jobs/{await site.ground.job()}/cancel")


@route("operator.retry")
async def retry_job(site: Site) -> Request:
    return Request("POST", f"{V1}/operator/jobs/{await site.ground.dead_job()}/retry")


@route("operator.retry_kind")
async def retry_jobs(site: Site) -> Request:
    return Request("POST", f"{V1}/operator/jobs/retry", {"kind": "matrix"})


# Whose data it is


def _community(site: Site, path: str) -> str:
    return f"{V1}/communities/{site.place.space}/{path}"


@route("sovereignty.order", foreign=True)
async def order_archive(site: Site) -> Request:
    return Request("POST", _community(site, "archive"))


@route("sovereignty.find", foreign=True)
async def find_archive(site: Site) -> Request:
    await site.ground.archive(1, site.place.space, site.user)
    return Request("GET", _community(site, "archive"))


@route("sovereignty.fetch", foreign=True)
async def fetch_archive(site: Site) -> Request:
    await site.ground.archive(1, site.place.space, site.user)
    return Request("GET", _community(site, "archive/0"))


@route("sovereignty.keep", foreign=True)
async def keep(site: Site) -> Request:
    return Request("PUT", _community(site, "retention"), {"days": 3_000})


@route("sovereignty.erase", foreign=True, past=(Code.INVALID,))
async def erase(site: Site) -> Request:
    return Request("POST", _community(site, "erase"), {"name": "not its name"})


@route("sovereignty.order_own")
async def order_own_archive(site: Site) -> Request:
    return Request("POST", f"{V1}/account/archive")


@route("sovereignty.find_own")
async def find_own_archive(site: Site) -> Request:
    await site.ground.archive(2, site.user, site.user)
    return Request("GET", f"{V1}/account/archive")


@route("sovereignty.fetch_own")
async def fetch_own_archive(site: Site) -> Request:
    await site.ground.archive(2, site.user, site.user)
    return Request("GET", f"{V1}/account/archive/0")


@route("sovereignty.erase_own", past=(Code.INVALID,))
async def erase_own(site: Site) -> Request:
    return Request("POST", f"{V1}/account/erase", {"name": "not my name"})


# Notices, and what comes back of mails


@route("notices.list_notices")
async def list_notices(site: Site) -> Request:
    return Request("GET", f"{V1}/notices")


@route("notices.read")
async def read_notices(site: Site) -> Request:
    return Request("POST", f"{V1}/notices/read", {"notices": [1]})


@route("notices.preferences")
async def preferences(site: Site) -> Request:
    return Request("GET", f"{V1}/notices/preferences")


@route("notices.prefer")
async def prefer(site: Site) -> Request:
    return Request("PUT", f"{V1}/notices/preferences", {})


@route("notices.reminders")
async def reminders(site: Site) -> Request:
    return Request("GET", f"{V1}/notices/reminders")


@route("notices.remind")
async def remind(site: Site) -> Request:
    return Request("POST", f"{V1}/notices/reminders", {"at": int(time.time()) + 3_600, "words": "breathe"})


@route("notices.forget_reminder", foreign=True)
async def forget_reminder(site: Site) -> Request:
    return Request("DELETE", f"{V1}/notices/reminders/{await site.ground.reminder(_whose(site))}")


@route("notices.subscriptions")
async def subscriptions(site: Site) -> Request:
    return Request("GET", f"{V1}/push")


@route("notices.subscribe", past=(Code.INVALID,))
async def subscribe(site: Site) -> Request:
    return Request("POST", f"{V1}/push", {"service": "pigeon", "address": "the loft"})


@route("notices.unsubscribe", foreign=True)
async def unsubscribe(site: Site) -> Request:
    return Request("DELETE", f"{V1}/push/{await site.ground.subscription(_whose(site))}")


@route("mail.ask", past=(Code.NOT_FOUND,))
async def ask_unsubscribe(site: Site) -> Request:
    """A link's token is the right to it; of what is none nothing is found, whoever asks."""
    return Request("GET", f"{V1}/mail/unsubscribe?t=none")


@route("mail.unsubscribe", past=(Code.NOT_FOUND,))
async def unsubscribe_mail(site: Site) -> Request:
    return Request("POST", f"{V1}/mail/unsubscribe?t=none")


@route("mail.bounced", past=(Code.UNAUTHENTICATED,))
async def bounced(site: Site) -> Request:
    """The mail server's secret is the right to it."""
    return Request("POST", f"{V1}/mail/bounces", b"a report", "message/rfc822")
