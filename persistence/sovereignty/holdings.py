"""Every table, and what of it belongs to a community or to a person: the one list that erasure goes by.

    Holding(table, of_spaces, of_person, stays)      conditions in SQL: $1 the spaces or the account, $2 the streams of the spaces

A community's erasure deletes what `of_spaces` finds, for its space and its members' enrolments. A person's deletes what `of_person` finds,
then everything of their own space and enrolments, as if these were a community. What is not deleted has its reason in `stays`.

Invariant: a table that is in the database and not here, or here without a condition or a reason for each of the two, is a failing test.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Holding(Struct, frozen=True):
    """One table. An empty condition needs a reason why nothing of it has to go: `stays` for both, or for the one that is empty.

    `key`: what names a row, where its place (`ctid`) does not: in a table of several partitions."""

    table: str
    of_spaces: str = ""
    of_person: str = ""
    stays: str = ""
    key: tuple[str, ...] = ("ctid",)


_STREAMS: Final = "t.stream_id = any($2)"
_SPACES: Final = "t.space_id = any($1)"
_USER: Final = "t.user_id = $1"
_BY_NUMBER: Final = "payloads name people by number, but for mails, whose orders go as the account is closed; they end within 90 days"
_DOCUMENTS: Final = "a document is its community's, also what the person wrote in it; numbers that stand in it mean nobody else"
_WITH_ACCOUNT: Final = "of a person: goes with their own rows; of a community: holds nothing of it"

HOLDINGS: Final[tuple[Holding, ...]] = (
    # In the order of deletion: what refers to others first, the places themselves last.
    Holding("webhook_deliveries", "t.webhook_id in (select w.id from webhooks w where w.space_id = any($1))", stays="a community's own"),
    Holding("webhook_cursors", "t.webhook_id in (select w.id from webhooks w where w.space_id = any($1))", stays="a community's own"),
    Holding("webhooks", _SPACES, stays="a community's own, whoever made it"),
    Holding("api_keys", _SPACES, _USER),
    Holding("notices", "t.space_id = any($1) or t.stream_id = any($2)", "t.user_id = $1 or t.actor = $1"),
    Holding("told_outside", _SPACES, _USER),
    Holding("notice_rules", "t.space_id = any($1) or t.stream_id = any($2)", _USER),
    Holding("notice_settings", "", _USER, _WITH_ACCOUNT),
    Holding("reminders", _STREAMS, _USER),
    Holding("mentorships", "", "t.mentor = $1 or t.learner = $1", "between two people: it ends with the community, and what was is theirs"),
    Holding("match_shown", "", "t.seeker = $1 or t.mentor = $1", _WITH_ACCOUNT),
    Holding("match_tickets", "", _USER, _WITH_ACCOUNT),
    Holding("mentor_exposure", "", _USER, _WITH_ACCOUNT),
    Holding("mentors", stays="emptied within seconds by whoever settles; the number stays a day, until every model has heard of it"),
    Holding("mentor_unsettled", stays="numbers, seconds old: by them what is gone is emptied"),
    Holding("meetings_unsettled", _STREAMS, "", "numbers, seconds old"),
    Holding("mentor_clock", stays="of nobody"),
    Holding("push_subscriptions", "", _USER, _WITH_ACCOUNT),
    Holding("mail_refusals", "", "", "an address that refuses mail, without whoever had it: it should not be written to again"),
    Holding("jobs", "t.space_id = any($1) and t.kind not like 'erase.%'", "", _BY_NUMBER),
    Holding("dead_jobs", _SPACES, "", _BY_NUMBER),
    Holding("reports", "t.space_id = any($1) or t.stream_id = any($2)", "t.reporter = $1 or t.subject = $1"),
    Holding("held", "t.space_id = any($1) or t.stream_id = any($2)", "t.author = $1"),
    Holding("moderation_labels", _SPACES, "t.author = $1"),
    Holding("moderation_policies", _SPACES, stays="a community's own"),
    Holding("moderation_cursors", _STREAMS, stays="a stream's own; those of a person go with their own spaces"),
    Holding("blocks", "", "t.user_id = $1 or t.blocked = $1", _WITH_ACCOUNT),
    Holding("trust_events", _SPACES, "t.user_id = $1 or t.actor = $1"),
    Holding("trust_relationships", _SPACES, "t.endorser = $1 or t.endorsed = $1"),
    Holding("trust_standings", "", _USER, _WITH_ACCOUNT),
    Holding("trust_unsettled", "", "t.endorser = $1 or t.endorsed = $1", _WITH_ACCOUNT),
    Holding("trust_seeds", "", _USER, _WITH_ACCOUNT),
    Holding("trust_clock", stays="of nobody"),
    Holding("slow_posts", _STREAMS, _USER),
    Holding("ungraded", _STREAMS, "", "of a person: goes with their enrolments; of a library: names questions"),
    Holding("attempts", "t.space_id = any($1) or t.stream_id = any($2)", _USER),
    Holding("days_waiting", _SPACES, _USER),
    Holding("learning_days", _SPACES, _USER, key=("day", "space_id", "user_id", "lesson", "question")),
    Holding("learners", _SPACES, _USER),
    Holding("lessons_waiting", _SPACES, stays="names lessons"),
    Holding(
        "lesson_sums", _SPACES, "", "sums of many, told in groups; made anew with each answer", ("month", "space_id", "lesson", "question")
    ),
    Holding("passkeys", "", _USER, _WITH_ACCOUNT),
    Holding("mfa_totp", "", _USER, _WITH_ACCOUNT),
    Holding("mfa_recovery_codes", "", _USER, _WITH_ACCOUNT),
    Holding("mfa_challenges", "", _USER, _WITH_ACCOUNT),
    Holding("mfa_accounts", "", _USER, _WITH_ACCOUNT),
    Holding("identity_links", "", _USER, _WITH_ACCOUNT),
    Holding("outbox", "t.space_id = any($1) and t.kind <> 21 or t.stream_id = any($2)", "t.user_id = $1 or t.author = $1"),
    Holding("sync_queue", _SPACES, _USER, key=("space_id", "id")),
    Holding("sync_conflicts", _STREAMS, _USER),
    Holding("entity_versions", _STREAMS, "t.author = $1"),
    Holding("tombstones", _STREAMS, "t.deleted_by = $1"),
    Holding("records", _STREAMS, "", "a community's content and actions are its own, also those that the person wrote"),
    Holding("uploads", _SPACES, _USER),
    Holding("upload_pieces", "", "", "goes with the upload"),
    Holding("renditions", "", "", "goes with the object"),
    Holding("objects", "", "", "bytes by their hash: they go when no upload refers to them, by a job that deleting uploads orders"),
    Holding("upload_leavings", "", "", "numbers and hashes, minutes old: by them the bytes are deleted"),
    Holding("document_set_aside", _STREAMS, "", "names events"),
    Holding("document_pens", _STREAMS, "", _DOCUMENTS),
    Holding("document_tails", _STREAMS, "", "sums"),
    Holding("document_versions", _SPACES, "", _DOCUMENTS),
    Holding("documents", _SPACES, "", _DOCUMENTS),
    Holding("message_versions", _STREAMS, "t.replaced_by = $1"),
    Holding("read_markers", _STREAMS, _USER),
    Holding("offline_content_cache", _STREAMS, "t.device_id in (select d.id from devices d where d.user_id = $1)"),
    Holding("device_sync_state", "", _USER, _WITH_ACCOUNT),
    Holding("outcomes", "", "t.device_id in (select d.id from devices d where d.user_id = $1)", _WITH_ACCOUNT),
    Holding("refresh_tokens", "", "t.session_id in (select s.id from sessions s where s.user_id = $1)", _WITH_ACCOUNT),
    Holding("sessions", "", _USER, _WITH_ACCOUNT),
    Holding("devices", "", _USER, _WITH_ACCOUNT),
    Holding("archive_parts", "", "", "goes with the archive"),
    Holding("archives", "t.kind = 1 and t.subject = any($1)", "t.kind = 2 and t.subject = $1 or t.asked_by = $1"),
    Holding("log", _STREAMS, "", "what the person wrote is emptied in place, or numbers would have gaps: `clearing`"),
    # After the log: whoever writes these reads it, and nothing of it is left to be written again.
    Holding("search_cursors", _STREAMS, "", "numbers"),
    Holding("search_messages", _STREAMS, "t.author = $1", key=("stream_id", "seq")),
    Holding("search_words", _SPACES, "", "of a person: a word goes with the last message that has it"),
    Holding("search_vocabulary", "", "", "a word goes with the last place that has it"),
    Holding("user_roles", _SPACES, _USER),
    Holding("roles", _SPACES, "", "a community's own, whoever made it"),
    Holding("invitations", _SPACES, "t.user_id = $1 or t.invited_by = $1"),
    Holding("members", _SPACES, _USER),
    Holding("streams", "t.id = any($2)", "", "a community's; those of a person go with their own spaces"),
    Holding("spaces", "t.id = any($1)", "", "a community's; those of a person go with their own spaces"),
    # What stays for both.
    Holding("accounts", stays="the row stays without a name, so that numbers in others' streams mean nobody else: `person` empties it"),
    Holding("audit_log", stays="numbers and deeds, no words: who erased whom has to be answered for; its own retention ends it"),
    Holding("erasures", stays="the list itself"),
    Holding("permissions", stays="of nobody"),
    Holding("epoch_bump", stays="of nobody"),
    Holding("job_workers", stays="of nobody"),
    Holding("job_schedules", stays="of nobody"),
    Holding("job_tallies", stays="of nobody"),
    Holding("analytics_clock", stays="of nobody"),
    Holding("models", stays="of nobody"),
    Holding("model_audits", stays="of nobody: shares of groups that are large enough to be compared"),
    Holding("model_files", stays="of nobody: what was learned from many, and no row of anybody's"),
    Holding("schema_migrations", stays="of nobody"),
)
