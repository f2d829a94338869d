"""Every event that a process writes to its log, with what it means to whoever reads it. `docs/operating.md` lists them.

    log.warning("journal_lost", error=…) ─▶ one line: time, level, event, fields

Names are in the past tense and each is written in one place. `error` means that somebody is woken.

Invariant: a test compares this table with what the source writes; no field holds a secret, a name of a person or a word of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

Level = Literal["info", "warning", "error"]


class LogEvent(Struct, frozen=True):
    """One kind of line. `level`: the highest that it is written with."""

    level: Level
    meaning: str


EVENTS: Final[Mapping[str, LogEvent]] = {
    # The process
    "node_started": LogEvent("info", "everything of this process is up; `number` is how other gateways name it"),
    "node_gave_up": LogEvent("error", "its tree had more crashes than it may: the process ends with status 1"),
    "stop_asked": LogEvent("info", "a signal came; the second one ends it at once"),
    "port_opened": LogEvent("info", "connections are taken"),
    "hasher_lost": LogEvent("error", "a process that hashes passwords ended or stood still; who asked was told to come back"),
    "drain_began": LogEvent("info", "no more connections; clients are told their moment to leave"),
    "database_awaited": LogEvent("warning", "the process cannot begin before it knows which history the database is"),
    "trust_disagreed": LogEvent(
        "warning", "the pass of a day found other scores than were worked out since the last; it has written its own; `people` is how many"
    ),
    # The tree
    "child_started": LogEvent("info", "a service runs, for the first time or again"),
    "child_stopped": LogEvent("info", "a service was asked to stop and did; with a cause where it crashed on the way"),
    "child_ended": LogEvent("error", "a service that may end did; with a cause where that was a crash"),
    "child_crashed": LogEvent("error", "a service crashed and will be started again, with those that stand on it"),
    "child_start_failed": LogEvent("error", "a service could not be started at all: its supervisor gives up"),
    "child_close_failed": LogEvent("error", "a service crashed when it was asked to close"),
    "child_stuck": LogEvent("error", "a service does not stop: the process cannot end by itself"),
    # Actors
    "actor_crashed": LogEvent("error", "a fault of ours in one actor; it was built anew, others noticed nothing"),
    "hook_failed": LogEvent("error", "a fault of ours while an actor was being put away"),
    "message_undelivered": LogEvent("info", "a message to an actor that had gone, at the 1st, 2nd, 4th, 8th …"),
    "session_ended": LogEvent("info", "one socket's life in sums: bytes, commands, seconds, code, link, how often it lagged"),
    # Postgres
    "journal_lost": LogEvent("warning", "nothing can be committed; clients keep what they sent and ask again"),
    "journal_recovered": LogEvent("info", "commits go through again"),
    "store_lost": LogEvent("warning", "nothing can be read"),
    "store_recovered": LogEvent("info", "reads are answered again"),
    "control_fell_silent": LogEvent("error", "revocations have not been looked for as often as promised"),
    "control_rewound": LogEvent("error", "the control stream is shorter than it was: the database is another one"),
    "entry_poisoned": LogEvent("warning", "the database cannot take one mutation; it was refused by itself"),
    "entry_not_kept": LogEvent("warning", "what was refused could not even be kept for a person to look at"),
    "entry_undecided": LogEvent("warning", "it could be neither stored nor refused; its client asks again"),
    "query_poisoned": LogEvent("warning", "one question that the database cannot answer; the others of its batch were answered"),
    "outbox_delayed": LogEvent("info", "mentions and notes wait for the database"),
    # Models
    "models_started": LogEvent("info", "every model that this process serves is ready, or has shown that it cannot be"),
    "models_gave_up": LogEvent("error", "its tree had more crashes than it may: the ML process ends with status 1"),
    "model_warmed": LogEvent("info", "a version is loaded and warm, and answers; `seconds` is what that took"),
    "model_fell": LogEvent("warning", "a version's process crashed, was killed or cannot be loaded; it is started again"),
    "model_replaced": LogEvent("info", "another version answers from now on: a promotion, a rollback or an upgrade"),
    "model_refused": LogEvent("warning", "the book names a version of a kind that this program does not know"),
    "model_audit_alarmed": LogEvent("warning", "a model treats a group of people worse than others, by its audit; `alarm` says which"),
    "model_book_awaited": LogEvent("warning", "the database cannot be asked which versions are in use; what runs goes on"),
    "model_card_unread": LogEvent("warning", "the card of a version says what this program does not understand; that version is left out"),
    "feed_awaited": LogEvent("warning", "the database cannot be asked for what a model must know; it goes on with what it has"),
    "moderation_lost": LogEvent("warning", "what was said is not judged: the database is away"),
    "moderation_recovered": LogEvent("info", "it is judged again"),
    "moderation_failed": LogEvent("error", "something that was said could not be judged or taken back; it is tried again"),
    "feed_failed": LogEvent("error", "what a model must know cannot be read, whatever the database; that model alone waits, ever longer"),
    "spoken_unread": LogEvent("error", "one thing that was said cannot be read, and is not judged; the others are"),
    "policy_unread": LogEvent("error", "a community's rules of moderation cannot be read; there it goes as where none are set"),
    # Search
    "indexing_lost": LogEvent("warning", "what is said now is not found: the database is away"),
    "indexing_recovered": LogEvent("info", "it is found again, within seconds"),
    "indexing_failed": LogEvent("error", "what is said in one stream cannot be indexed, and is not found; the others are"),
    # The search for a mentor
    "meeting_failed": LogEvent("error", "of a meeting no reminder can be made; the others of its round were"),
    "match_degraded": LogEvent("info", "no model answered a search; fixed weights did, and its answer says so; `why` is the model's"),
    "match_delayed": LogEvent("info", "a search could not be carried out: the database is away"),
    "match_not_promised": LogEvent("warning", "a search takes long and no ticket could be kept: it is answered when it is there"),
    "match_not_kept": LogEvent("warning", "what was found is told on the socket, and its ticket stays without"),
    "showings_delayed": LogEvent("info", "who was shown to whom is written down later"),
    # Mail
    "mail_bounced": LogEvent("info", "a report says that a mail could not be delivered for good: its address gets no more"),
    "mail_address_refused": LogEvent("info", "the mail server knows no such mailbox: the address gets no more mail"),
    # Jobs
    "jobs_delayed": LogEvent("warning", "jobs wait for the database; said once, not at each attempt"),
    "schedules_delayed": LogEvent("warning", "what is done by the clock waits for the database; said once"),
    "job_lease_lost": LogEvent("warning", "this process could not renew its lease in time: what it ran is others' by now"),
    "job_lease_not_returned": LogEvent("info", "a process that stops could not give back what it ran: its lease runs out by itself"),
    "job_attempt_failed": LogEvent("info", "an attempt failed, was cancelled, or was not ours any more; `fate` says which"),
    "job_buried": LogEvent("error", "a job failed for the last time: `educonnect jobs show ID`, then `retry` it or leave it"),
    "job_failed_after_its_end": LogEvent("error", "a fault of ours in a run whose effect is committed; nothing is done again"),
    "schedule_not_noted": LogEvent("info", "when a schedule's last job ended is not shown; the job itself is as it should be"),
    "jobs_not_looked_at": LogEvent("info", "the metrics of waiting jobs are as they were, until the database answers again"),
    "jobs_piled_up": LogEvent("warning", "more jobs of a kind are ready than `jobs.waiting_warn`; said once until it is half of that"),
    "job_sums_delayed": LogEvent("info", "how many jobs ended how is written down later"),
    # Files
    "upload_part_not_kept": LogEvent("info", "a line was cut, and what had come by it could not be kept: its sender sends it again"),
    # Documents
    "document_update_quarantined": LogEvent(
        "warning", "an update that nobody can apply, or that stops who tries, is no part of its document"
    ),
    # Webhooks
    "webhook_abandoned": LogEvent("warning", "a subscription failed for too long and was paused; its community's owners were told"),
    "webhooks_not_looked_at": LogEvent("warning", "deliveries wait for the database; said once, not at each look"),
    # Redis and sessions
    "redis_connected": LogEvent("info", "a connection holds"),
    "redis_not_reached": LogEvent("warning", "said once, not at each attempt"),
    "redis_connection_lost": LogEvent("warning", "it will be opened again; gateways poll meanwhile"),
    "revocation_delayed": LogEvent("info", "sessions to end wait for the database; nobody is let in meanwhile"),
    # HTTP
    "http_request_crashed": LogEvent("error", "a fault of ours; its caller was answered 500"),
    "http_connection_crashed": LogEvent("error", "a fault of ours below the application; one connection ended"),
    "http_storage_failed": LogEvent("warning", "a request was answered 503 because of the database"),
    # Traces
    "spans_refused": LogEvent(
        "warning", "the collector did not take traces, or is away: they are lost and counted; at most once a minute, `unsaid` in between"
    ),
    # `educonnect dev`
    "migrations_applied": LogEvent("info", "the schema was brought up to date"),
    "demo_made": LogEvent("info", "the demo community is there"),
    "demo_failed": LogEvent("error", "it is not; everything else runs"),
    "dev_gave_up": LogEvent("error", "as `node_gave_up`"),
}
