"""What an operator asks, how Prometheus answers it, and what to do: one table for the page, the dashboard and the tests.

    Question ─▶ docs/operating.md (a row) ─▶ deploy/grafana/educonnect.json (a panel)

Invariant: every query names metrics that a node, or an ML process, has; a test asks Prometheus' own parser about each.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Unit = Literal["short", "s", "bytes", "Bps", "ops", "percentunit", "bool"]
"""Grafana's names."""


class Question(Struct, frozen=True):
    """`legend`: what tells the lines of the answer apart, as Grafana writes it."""

    asks: str
    query: str
    then: str
    unit: Unit = "short"
    legend: str = "{{instance}}"


class Chapter(Struct, frozen=True):
    title: str
    questions: tuple[Question, ...]


_P99: Final = "histogram_quantile(0.99, sum by (le, instance) (rate({}_bucket[5m])))"

CHAPTERS: Final = (
    Chapter(
        "Is it well?",
        (
            Question(
                "What does a process depend on that is not well?",
                "educonnect_up == 0",
                "`database`, `journal`, `store`: look at Postgres and its pooler, `educonnect doctor` says what is wrong. `redis`, `link`:"
                " Redis; until it is back gateways poll, slower and never wrong. `models`: see below; what there is without them is done."
                " `door`: draining, or out of descriptors",
                "bool",
                "{{instance}} {{dependency}}",
            ),
            Question(
                "Does something crash?",
                "sum by (instance, child) (increase(educonnect_child_restarts_total[10m])) > 0"
                " or sum by (instance, pool) (increase(educonnect_actor_restarts_total[10m])) > 0",
                "a fault of ours, or the world's below it: `educonnect tree --live` names the place and the last cause, the log has the"
                " traceback (`child_crashed`, `actor_crashed`)",
                legend="{{instance}} {{child}}{{pool}}",
            ),
            Question(
                "How late is the event loop?",
                _P99.format("educonnect_turn_delay_seconds"),
                "above 50 ms everybody waits: look at CPU and the pauses below; more gateways, or fewer sockets in each",
                "s",
            ),
            Question(
                "How much CPU does a process take?",
                "rate(process_cpu_seconds_total[1m])",
                "near 1 it is full: a gateway is one core. Start another and let the balancer send it the new ones",
                "percentunit",
            ),
            Question(
                "How much memory?",
                "process_resident_memory_bytes",
                "grows with sockets (some KiB each); without more sockets it should not grow",
                "bytes",
            ),
            Question(
                "How long does garbage collection stop it?",
                "sum by (instance, generation) (rate(educonnect_gc_pause_seconds_sum[5m]))",
                "above 1 % of the time something makes cycles: report it with the live view",
                "percentunit",
                "{{instance}} generation {{generation}}",
            ),
        ),
    ),
    Chapter(
        "Who is here?",
        (
            Question(
                "How many sockets are open?",
                "educonnect_sockets",
                "near `gates.sockets_max` or the limit on descriptors: start another gateway",
            ),
            Question(
                "On what links, with which client schema?",
                "sum by (quality, schema) (educonnect_sessions)",
                "for whom features are built; old schemas cost a second encoding of each event",
                legend="{{quality}}, schema {{schema}}",
            ),
            Question(
                "Who is turned away at the door, and why?",
                "sum by (instance, reason) (rate(educonnect_connections_refused_total[5m]))",
                "`half_open…`, `per_client`: a flood, or many behind one address: name the balancer in `proxy.networks`. `waiting`,"
                " `admission_late`, `sockets`: a storm, or too few gateways. `handshake_403`: an origin that is not in `listen.origins`",
                "ops",
                "{{instance}} {{reason}}",
            ),
            Question(
                "With which codes do sockets end?",
                "sum by (code) (rate(educonnect_sockets_closed_total[5m]))",
                "`docs/protocol.md` names the codes; 1006 is a line that broke, much of it a bad network or a balancer's timeout",
                "ops",
                "{{code}}",
            ),
            Question(
                "Where do sessions' states come from?",
                "sum by (source) (rate(educonnect_session_answers_total[5m]))",
                "much `postgres`: Redis is away or loses keys",
                "ops",
                "{{source}}",
            ),
            Question(
                "What is asked over HTTP?",
                "sum by (route, status) (rate(educonnect_http_requests_total[5m]))",
                "429: rates (`accounts.…`, `sync.…`); 503: Postgres; 500: a fault of ours, in the log",
                "ops",
                "{{route}} {{status}}",
            ),
        ),
    ),
    Chapter(
        "Does it arrive?",
        (
            Question(
                "How much goes out?",
                "sum by (instance) (rate(educonnect_sent_bytes_total[1m]))",
                "what the network and the clients' bills carry",
                "Bps",
            ),
            Question(
                "How many deliveries?",
                "sum by (instance) (rate(educonnect_fanout_deliveries_total[1m]))",
                "a delivery costs 2 to 7 µs: with CPU near 1, spread sockets over more gateways",
                "ops",
            ),
            Question(
                "How many messages leave with one system call?",
                "rate(educonnect_messages_sent_total[1m]) / rate(educonnect_sends_total[1m])",
                "grows under load, which is how a gateway keeps up",
            ),
            Question(
                "How long does an event wait for its flush?",
                _P99.format("educonnect_fanout_wait_seconds"),
                "above 50 ms: a stream with very many followers, or a loop that is late",
                "s",
            ),
            Question(
                "Who does not read?",
                "educonnect_sockets_backed_up",
                "`educonnect tree --live` names user, device, bytes and age. Few of them are bad links, and harm nobody else; many at once"
                " are the network in front of us",
            ),
            Question(
                "What is dropped?",
                "sum by (reason) (rate(educonnect_drops_total[5m])) > 0",
                "`lagged`: slow readers, told to go on from their cursor. `slow`: took nothing for a minute. `flood`: refused too often, a"
                " faulty or hostile client. `ephemeral_…`: typing and presence, which the next one replaces",
                "ops",
                "{{reason}}",
            ),
            Question(
                "Which streams are behind, and for how long?",
                "educonnect_slowest_stream_lag_seconds > 0",
                "`educonnect_slowest_stream_id` with the same rank is the stream. Seconds: Postgres does not answer; see below",
                "s",
                "{{instance}} rank {{rank}}",
            ),
            Question(
                "How often was an event missed and read again?",
                "sum by (instance) (rate(educonnect_gap_repairs_total[5m]) + rate(educonnect_tails_lost_total[5m]))",
                "Redis drops or reorders: look at its CPU, output buffers and the network",
                "ops",
            ),
        ),
    ),
    Chapter(
        "Is it kept?",
        (
            Question(
                "How long do people wait for an acknowledgement?",
                _P99.format("educonnect_journal_answer_seconds"),
                "above 100 ms: Postgres' disk, locks, or CPU; compare with the commit",
                "s",
            ),
            Question(
                "How long does a commit take?",
                _P99.format("educonnect_journal_commit_seconds"),
                "the disk's flush, a synchronous standby, an idle transaction elsewhere (`idle_in_transaction_session_timeout`)",
                "s",
            ),
            Question(
                "How large are batches?",
                "rate(educonnect_journal_batch_entries_sum[1m]) / rate(educonnect_journal_batch_entries_count[1m])",
                "grows with load, and keeps Postgres' cost for each mutation down",
            ),
            Question(
                "What waits for a commit?",
                "educonnect_journal_queued",
                "grows without end: Postgres does not keep up; beyond `journal.items_max` clients are told BUSY and keep what they have",
            ),
            Question(
                "What becomes of mutations?",
                "sum by (operation, code) (rate(educonnect_mutations_total[5m]))",
                "GAP or NUMBER_REUSED: copied devices or a faulty client. UNAVAILABLE: the database. FORBIDDEN: people who lost a role",
                "ops",
                "{{operation}} {{code}}",
            ),
            Question(
                "What becomes of offline changes?",
                "sum by (outcome) (rate(educonnect_sync_changes_total[5m]))",
                "much `review`: people edit the same things; staff look at the conflicts",
                "ops",
                "{{outcome}}",
            ),
            Question(
                "Were batches repeated or taken apart?",
                "sum by (instance) (rate(educonnect_journal_conflicts_total[5m]) + rate(educonnect_journal_resubmitted_total[5m])"
                " + rate(educonnect_journal_bisected_total[5m]))",
                "`conflicts` should be 0: locks have one order. `resubmitted`: connections are lost. `bisected`: one bad entry, in the log",
                "ops",
            ),
            Question(
                "Do calls wait for a connection?",
                "histogram_quantile(0.99, sum by (le, lane) (rate(educonnect_postgres_wait_seconds_bucket[5m])))",
                "`database.connections_max`, or a database that is slow; `educonnect_postgres_calls` says how many are under way",
                "s",
                "{{lane}}",
            ),
            Question(
                "Do mentions reach inboxes?",
                "increase(educonnect_outbox_given_up_total[1h]) > 0",
                "`educonnect doctor` names what was set aside",
            ),
        ),
    ),
    Chapter(
        "Is what people write looked at?",
        (
            Question(
                "How soon after it was posted?",
                _P99.format("educonnect_moderation_verdict_seconds"),
                "above a second: more is posted than `moderation.per_s`, the model is slow"
                " (`educonnect_moderation_model_seconds`), or Postgres is",
                "s",
            ),
            Question(
                "By a model?",
                "sum by (why) (rate(educonnect_moderation_unanswered_total[5m]))",
                "above 0 the lexicon alone looks at it: is there a process of the role `ml`? `away`: none; `open`: its breaker;"
                " `late`, `shed`: too few",
                "ops",
                "{{why}}",
            ),
            Question(
                "How many streams wait for it?",
                "sum(educonnect_moderation_waiting)",
                "grows: as above; what waits for long is found again by the sweep (`educonnect_moderation_swept_total`,"
                " `educonnect_moderation_lost_total`)",
            ),
            Question(
                "What comes of it?",
                "sum by (outcome) (rate(educonnect_moderation_outcomes_total[1h]))",
                "much more than yesterday, with as much posted (`educonnect_moderation_judged_total`): a wave, or a new version of the"
                " model (`educonnect ml list`)",
                "ops",
                "{{outcome}}",
            ),
            Question(
                "Does what is checked first get through?",
                "sum(rate(educonnect_moderation_put_off_total[5m])) > 0",
                "the models do not answer, and nothing is delivered there but what staff release (`educonnect_moderation_released_total`)",
                "ops",
            ),
            Question(
                "Does it fail?",
                "increase(educonnect_moderation_failed_total[1h]) > 0",
                "the log says why (`moderation_failed`); the same is tried again",
            ),
        ),
    ),
    Chapter(
        "Does everybody find a mentor?",
        (
            Question(
                "How soon?",
                _P99.format("educonnect_match_seconds"),
                "above `matching.answer_s` a search is answered by a ticket first (`educonnect_match_later_total`): the model or"
                " Postgres is slow",
                "s",
            ),
            Question(
                "By a model?",
                "sum(rate(educonnect_match_degraded_total[5m])) / sum(rate(educonnect_match_asked_total[5m])) > 0",
                "those searches were answered by fixed weights over few mentors, which their answers say: see whether models answer, below",
                "percentunit",
            ),
            Question(
                "Does it keep up?",
                "sum(educonnect_match_waiting)",
                "grows: more is asked than the model can; beyond the bound searches are refused (`educonnect_match_refused_total`)",
            ),
            Question(
                "Is the model fed?",
                "sum(rate(educonnect_match_unshown_total[1h]))",
                "mentors that the model finds and nobody may be shown: some always are; many mean that what it is fed is old"
                " (`feed_awaited`)",
                "ops",
            ),
        ),
    ),
    Chapter(
        "Are learners told what comes next?",
        (
            Question(
                "Does folding keep up?",
                "max(educonnect_analytics_oldest_seconds)",
                "grows beyond minutes: the role `jobs` has too little time, or `educonnect jobs` shows `analytics.fold` failing; grading"
                " does not wait for it",
                "s",
            ),
            Question(
                "How much waits?",
                "sum by (what) (educonnect_analytics_waiting)",
                "after an import it may be much for some minutes",
                legend="{{what}}",
            ),
            Question(
                "By a model?",
                'sum(rate(educonnect_analytics_foretold_total{by="rule"}[1h])) / sum(rate(educonnect_analytics_foretold_total[1h])) > 0',
                "those were told by a rule, which NEXT says: see whether models answer, below",
                "percentunit",
            ),
        ),
    ),
    Chapter(
        "Do models answer?",
        (
            Question(
                "How many questions does no model answer, and why?",
                "sum by (model, why) (rate(educonnect_model_unanswered_total[5m])) > 0",
                "`away`: no process of the role `ml`, or its model is being started; `broken`: it raises or crashes, `educonnect tree"
                " --live` shows the last cause; `late`, `shed`: it is asked more than it can, another process of the role helps; `open`:"
                " one of these again and again",
                "ops",
                "{{model}} {{why}}",
            ),
            Question(
                "Is a breaker open?",
                "max by (model) (educonnect_model_breaker) > 0",
                "it closes by itself when the model answers again; `educonnect_model_breaker_opened_total` says how often it opened",
                legend="{{model}}",
            ),
            Question(
                "How long does an answer take?",
                "histogram_quantile(0.99, sum by (le, model) (rate(educonnect_model_seconds_bucket[5m])))",
                "beside what is asked (`educonnect_model_questions_total`): full, or a slower version (`educonnect ml list`): roll back",
                "s",
                "{{model}}",
            ),
            Question(
                "Does another version answer than should?",
                "sum by (model) (rate(educonnect_model_degraded_total[5m])) > 0",
                "the active version cannot be loaded: `educonnect tree --live` says why; `educonnect ml rollback NAME`",
                "ops",
                "{{model}}",
            ),
            Question(
                "Which version does not answer?",
                "educonnect_version_ready == 0",
                "it is being started, rests between two lives or cannot be loaded: `educonnect tree --live` on its machine names which, and"
                " the last cause; `educonnect_version_crashes_total` says how often it ended",
                "bool",
                "{{instance}} {{version}}",
            ),
            Question(
                "How many questions wait for a version?",
                "sum by (version) (educonnect_version_waiting)",
                "grows: more is asked than it can answer; what could not be answered in its time is refused"
                " (`educonnect_version_shed_total`) or dropped unread (`educonnect_version_late_total`): another process of the role helps",
                legend="{{version}}",
            ),
            Question(
                "How much memory does a version take?",
                "max by (version) (educonnect_version_memory_bytes)",
                "of its own, beside what all of them share; above its kind's bound its process is killed and another one begun",
                "bytes",
                "{{version}}",
            ),
        ),
    ),
    Chapter(
        "Is work done that was put off?",
        (
            Question(
                "How long do jobs wait?",
                "max by (kind) (educonnect_jobs_oldest_seconds)",
                "one kind alone: what it depends on, or its bound on jobs at once. All kinds: no process of the role `jobs` runs, or too"
                " few; `educonnect jobs` shows what runs",
                "s",
                "{{kind}}",
            ),
            Question(
                "How many wait?",
                "max by (kind) (educonnect_jobs_ready)",
                "grows without end: more processes of the role `jobs`; beyond `jobs.waiting_warn` the log says so",
                legend="{{kind}}",
            ),
            Question(
                "Is there a region whose jobs nobody does?",
                "max by (region) (educonnect_jobs_unserved) > 0",
                "no process of the role `jobs` runs with that `node.region`, or the label is wrong (`educonnect space region`)",
            ),
            Question(
                "Did jobs fail for good?",
                "max by (kind) (educonnect_jobs_dead) > 0",
                "`educonnect jobs list --state dead` and `show` say why; when the cause is gone `educonnect jobs retry --kind KIND`",
                legend="{{kind}}",
            ),
            Question(
                "What becomes of attempts?",
                "sum by (kind, outcome) (rate(educonnect_job_runs_total[5m]))",
                "many `failed`: what the kind talks to is away, and it is tried ever more slowly",
                "ops",
                "{{kind}} {{outcome}}",
            ),
            Question(
                "Do processes lose their leases?",
                "increase(educonnect_job_leases_lost_total[1h]) > 0",
                "the database was away for `jobs.lease_s`, or the process was starved: its jobs were cancelled there and done elsewhere",
            ),
            Question(
                "How long do reports wait?",
                "max(educonnect_reports_oldest_seconds)",
                "days: nobody decides; a community's moderators, or who has `REVIEW_PLATFORM`. `educonnect_reports_open` says how many",
                "s",
            ),
            Question(
                "Do other systems hear of what happens?",
                "max(educonnect_webhooks_lag_seconds)",
                "minutes: receivers fail (`educonnect_webhooks`), or no process of the role `jobs` runs",
                "s",
            ),
            Question(
                "How are webhooks?",
                "max by (state) (educonnect_webhooks)",
                "`failing`: tried again for `webhooks.give_up_hours`; `given_up`: paused, and its community's owners were told",
                legend="{{state}}",
            ),
            Question(
                "Do mails and pushes leave?",
                "sum by (outcome) (rate(educonnect_mails_total[15m]))",
                "mostly `delayed`: the mail server is away, or refuses our log-in; nothing is lost for some hours. `refused`: it does not "
                "want what we send",
                "ops",
                "{{outcome}}",
            ),
            Question(
                "Do push services take what is sent?",
                "sum by (outcome) (rate(educonnect_pushes_total[15m]))",
                "mostly `failed`: a service does not know our key; `gone` after `push.vapid_key_file` changed: all subscriptions are void",
                "ops",
                "{{outcome}}",
            ),
            Question(
                "What do receivers answer?",
                "sum by (outcome) (rate(educonnect_webhook_attempts_total[5m]))",
                "mostly `failed`: this installation's own way to the internet, if many communities have it at once",
                "ops",
                "{{outcome}}",
            ),
        ),
    ),
    Chapter(
        "Do the parts hear each other?",
        (
            Question(
                "Do gateways hear each other?",
                "educonnect_link_up",
                "0: Redis is away, or the subscription; heads are polled four times a second meanwhile",
                "bool",
            ),
            Question(
                "Why were subscriptions replaced?",
                "sum by (cause) (increase(educonnect_link_replaced_total[1h]))",
                "`deaf`: Redis forgot a subscription, or a proxy swallows. `silent`: the network. `lost`: closed, a restart",
                legend="{{cause}}",
            ),
            Question(
                "Is something lost on the way out?",
                "sum by (instance) (rate(educonnect_link_dropped_total[5m]))",
                "Redis takes less than is published, or is away; receivers read what is missing from Postgres",
                "ops",
            ),
            Question(
                "Are inboxes full?",
                "sum by (instance, pool, reason) (rate(educonnect_inbox_drops_total[5m])) > 0",
                "of `session`: floods, ended. Of others: a gateway that is far too busy; `tree --live` names the deepest",
                "ops",
                "{{instance}} {{pool}} {{reason}}",
            ),
            Question(
                "Do messages go to nobody?",
                "sum by (instance, pool) (rate(educonnect_dead_letters_total[5m]))",
                "some are answers to sockets that have gone; many, of `channel` or `device`, are a fault of ours",
                "ops",
                "{{instance}} {{pool}}",
            ),
            Question(
                "Are traces lost?",
                'sum by (outcome) (rate(educonnect_trace_spans_total{outcome!="exported"}[5m]))',
                "the collector is away or slow; nothing else suffers. A smaller `traces.share`",
                "ops",
                "{{outcome}}",
            ),
        ),
    ),
)
