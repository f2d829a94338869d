"""The audit: who did what to whom, from where. Its vocabulary, and the port by which staff read it.

    a deed ─record(tx)─▶ audit_log, in the deed's own transaction ─▶ AuditLog.find: newest first, a page at a time
                                                                  ╰▶ AuditLog.export: oldest first, all of it

Every action that is ever written down is declared here, in the past tense; what is not is refused when it is recorded. `detail`
holds numbers, names of settings and states: never a secret, and never what somebody wrote.

Invariant: a row that was committed is never changed; it goes with its whole month when its time is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from actors.accounts import Caller, Claims

PAGE_MAX: Final = 200
EXPORT_PAGE: Final = 1_000
EXPORT_BEHIND_S: Final = 60
"""An export ends this long ago: a transaction that is still open may yet write a row with an earlier time, and none lasts longer (the
server ends statements after 30 s and idle transactions after 10 s)."""

ACTIONS: Final[Mapping[str, str]] = {
    # Accounts and sessions.
    "account.registered": "an account was made",
    "login.failed": "a name or password was wrong; of a name that nobody has, there is no subject",
    "login.disabled": "somebody with a disabled account had the right password",
    "login.challenged": "a password was right, and a second factor was asked for",
    "session.opened": "a session was opened on a device",
    "session.ended": "one session was ended",
    "sessions.ended": "all sessions of an account were ended",
    "device.added": "a session was opened on a new device, on the word of another",
    "refresh.reused": "a refresh token was used a second time, and its session ended",
    "address.offered": "a mail address was given, and a link sent to it",
    "address.withdrawn": "a mail address was taken away",
    "address.proven": "a mail address was proven by its link",
    "password.reset_asked": "a link to set a new password was asked for",
    "password.changed": "the password was changed by who knew it",
    "password.reset": "the password was set anew by a link",
    "mfa.totp_offered": "a secret for codes was made, and not yet confirmed",
    "mfa.added": "a second factor was set up",
    "mfa.removed": "a second factor was taken away",
    "mfa.reset": "an operator took every second factor away from who had lost them; `why` says what the operator said",
    "mfa.recovery_renewed": "new recovery codes were made",
    "mfa.proven": "somebody proved themselves by a second factor",
    "mfa.wrong": "a second factor was wrong",
    "session.proven": "the owner of a session proved themselves anew",
    "mfa.passkey_copied": "a passkey's counter went back: there may be two of it",
    # Communities.
    "community_founded": "a community was founded",
    "community_erased": "a community was erased, with everything in it",
    "community_exported": "an archive of a community was asked for",
    "person_exported": "somebody asked for an archive of what is kept about them",
    "retention_set": "how long a community keeps messages was set",
    "community_imported": "a community came out of an archive",
    "person_erased": "an account was erased, and what the person wrote",
    "settings_changed": "a community's name or settings were changed",
    "slow_mode_set": "how often one may write in a channel was set",
    "channel_audience_changed": "who may read or write in a channel was changed",
    "document_audience_changed": "who may read or write in a document was changed, or it was put away",
    "document_restored": "a document was made what one of its versions was",
    "member_invited": "somebody was invited",
    "member_removed": "somebody's membership was ended by another",
    "role_set": "a member was given another base role",
    "custom_role_made": "a custom role was made",
    "custom_role_changed": "a custom role's name or permissions were changed",
    "custom_role_dropped": "a custom role was dropped",
    "custom_role_given": "somebody was given a custom role",
    "custom_role_taken": "a custom role was taken from somebody",
    "platform_role_given": "somebody was given a role on the platform",
    "platform_role_taken": "a role on the platform was taken from somebody",
    "message_deleted": "staff took back somebody's message",
    "progress_set_back": "staff set somebody's progress back",
    "change_released": "a change that was held was applied",
    "change_discarded": "a change that was held was thrown away",
    "report_upheld": "a report was decided: it was right",
    "report_rejected": "a report was decided: it was not",
    "held_decided": "what moderation held was let through, or kept away",
    "appeal_decided": "an appeal against that was decided",
    "moderation_set": "how a community is moderated was set",
    # Other systems.
    "service_made": "a service account was made",
    "service_ended": "a service account was ended, with all its keys",
    "key_made": "an API key was made",
    "key_revoked": "an API key was revoked",
    "key_outgrown": "a service was given more than its key holds, and the sockets opened with that key ended",
    "key_exchanged": "a session was opened with an API key",
    "webhook_made": "a webhook was made",
    "webhook_changed": "a webhook's name, destination or events were changed",
    "webhook_secret_changed": "a webhook was given a new secret",
    "webhook_paused": "a webhook was paused, by somebody or because it failed for too long (actor 0)",
    "webhook_resumed": "a paused webhook was let go on",
    "webhook_replayed": "a webhook was set back to an earlier position",
    "webhook_deleted": "a webhook was deleted",
    "audit_exported": "the audit log was exported",
    # Trust.
    "trust_seed_named": "somebody was named whose word others' trust builds on",
    "trust_seed_unnamed": "that was taken back",
    # Operating.
    "job_retried": "a dead letter was made a job again",
    "job_cancelled": "a job was cancelled, or a dead letter forgotten",
    "model_offered": "a version of a model was trained and kept",
    "model_changed": "a version of a model was put to another use: tried, promoted, retired",
}
"""Every action and what it says happened. Names are never used again for something else."""


class Cursor(Struct, frozen=True):
    """A place between two rows: behind the row of this time (microseconds since 1970) and number."""

    at_us: int
    id: int


class Wanted(Struct, frozen=True):
    """Which rows. None: all. `space` is what bounds a community's staff; times are Unix seconds, `since` included and `until` not."""

    space: int | None = None
    actor: int | None = None
    subject: int | None = None
    action: str | None = None
    since: int | None = None
    until: int | None = None


class Line(Struct, frozen=True):
    """One row as it is shown. `at` is RFC 3339 in UTC, with microseconds; `actor` 0 is the system."""

    id: int
    at: str
    actor: int
    action: str
    space: int | None
    subject: int | None
    address: str | None
    detail: dict[str, Any]


class AuditPage(Struct, frozen=True):
    """Rows, newest first, and where the next page begins; None: there are no more."""

    lines: tuple[Line, ...]
    next: Cursor | None


class AuditLog(Protocol):
    """The audit as staff read it. Who may is decided before. Every method may raise `StorageError`."""

    async def find(self, wanted: Wanted, after: Cursor | None, limit: int) -> AuditPage:
        """The newest rows that are wanted; those older than `after`. At most `PAGE_MAX`."""
        ...

    async def begin_export(self, wanted: Wanted, claims: Claims, caller: Caller) -> int:
        """Writes down that it is exported; the moment (Unix seconds) that the export reaches to."""
        ...

    def export(self, wanted: Wanted, until: int) -> AsyncIterator[tuple[Line, ...]]:
        """The wanted rows up to `until`, oldest first, in pages that are each read when they are asked for."""
        ...
