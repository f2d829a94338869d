"""What kinds of jobs there are, and what is done by the clock: the one list of each.

A kind's `run` lives in the room of its work; here it gets the node's services. `educonnect jobs schedules` shows what became of the second
list.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from actors.documents import Compact
from actors.jobs import Cron, JobKind, Way, Work
from actors.trust_gates import Thresholds
from persistence.analytics.jobs import CRONS as ANALYTICS_CRONS
from persistence.documents.compaction import JOB as COMPACT
from persistence.documents.compaction import Compactor
from persistence.drafting import DRAFT, Drafter, DraftQuestions
from persistence.identity import forgotten
from persistence.learning.grading import Grader
from persistence.mentoring.closing import sweep as sweep_mentorships
from persistence.mentoring.meetings import settle_meetings
from persistence.mentoring.settling import settle_mentors
from persistence.moderation.records import JOB as COVER_RECORD
from persistence.moderation.records import Cover
from persistence.moderation.records import carry_out as cover_record
from persistence.operations.ungraded import GRADE, GradeStream
from persistence.sovereignty.archives import MAKE, MakeArchive
from persistence.sovereignty.erasures import CARRY_OUT, CarryOut
from persistence.sovereignty.retention import forget_what_is_too_old
from persistence.trust import SETTLE, Settle
from persistence.trust_settling import TrustPass, settle_until_done
from persistence.webhook_deliveries import JOB as DELIVER
from persistence.webhook_deliveries import Delivery
from sandbox.process import run_in_sandbox
from supervisors.files import CRONS as FILE_CRONS
from supervisors.messenger import CRONS as NOTICE_CRONS
from supervisors.ml_audit import Audits, audit_crons
from supervisors.ml_line import cache_folder
from supervisors.ml_rows import TRAINING
from supervisors.ml_training import Trainings
from supervisors.ml_training import crons as training_crons

if TYPE_CHECKING:
    from supervisors.node import Node


class Nothing(Struct, frozen=True):
    """The payload of what is done by the clock alone."""


HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
CHORE_S: Final = 60.0
CHORE: Final = Way(first_s=60.0, most_s=HOUR_S, at_once_max=1)
"""What nobody waits for: one at a time, a minute apart at first."""


def job_kinds(node: Node) -> tuple[JobKind, ...]:
    """All kinds, with the services of this process."""
    housekeeping = node.housekeeping
    drafter = Drafter(node.bridge, node.exchange, node.models)
    doors = msgspec.convert(node.settings.trust, Thresholds, from_attributes=True)

    async def sweep(work: Work[Any]) -> None:
        await housekeeping.sweep_all(work.report)

    async def complete(work: Work[Any]) -> None:
        await housekeeping.complete()

    async def prepare(work: Work[Any]) -> None:
        await housekeeping.prepare_partitions()

    async def reseal_webhooks(work: Work[Any]) -> None:
        done = 0
        while sealed := await node.outside.deliverer.reseal():
            work.report(done := done + sealed)

    async def reseal(work: Work[Any]) -> None:
        total = 0
        while sealed := await node.multi_factor.reseal():
            total += sealed
            work.report(total, 0, "secrets")
        after = -1
        while after:
            after, sealed = await node.messenger.subscriptions.reseal(max(after, 0))
            total += sealed
            work.report(total, 0, "secrets")

    async def settle_trust(work: Work[Any]) -> None:
        await settle_until_done(node.bridge, doors)

    async def settle_mentoring(work: Work[Any]) -> None:
        # Before the mentors, and in transactions of their own: neither keeps the other waiting for ever.
        work.report(await settle_meetings(node.bridge), 0, "meetings")
        work.report(await settle_mentors(node.bridge, doors, sets_gate=True), 0, "mentors")

    async def sweep_mentoring(work: Work[Any]) -> None:
        total, closed = 0, 1
        while closed:
            closed, facts = await node.bridge.run(sweep_mentorships, deadline_s=CHORE_S)
            if facts:
                node.exchange.committed(facts)
            work.report(total := total + closed, 0, "mentorships")

    async def pass_trust(work: Work[Any]) -> None:
        counted = await TrustPass(node.bridge, doors).run(int(time.time()) // int(DAY_S))
        work.report(counted.people, counted.people, f"{counted.words} words, {counted.moved} people moved, {counted.told} scores")

    async def erase(work: Work[CarryOut]) -> None:
        await node.erasures.carry_out(work.payload.erasure, lambda step: work.report(0, 0, step))

    async def forget(work: Work[Any]) -> None:
        work.report(await forget_what_is_too_old(node.bridge, node.exchange), 0, "messages")

    async def erase_again(work: Work[Any]) -> None:
        await node.erasures.again()

    async def cover(work: Work[Cover]) -> None:
        await cover_record(node.bridge, node.exchange, work.payload.held)

    return (
        JobKind(COVER_RECORD, Cover, cover, timeout_s=60.0),
        *node.messenger.kinds(),
        *node.file_room.kinds(),
        *node.analytics.kinds(),
        *Trainings(node.bridge, cache_folder(node.settings), TRAINING).kinds(),
        *Audits(node.bridge, TRAINING).kinds(),
        JobKind(CARRY_OUT, CarryOut, erase, timeout_s=HOUR_S, way=CHORE),
        JobKind(MAKE, MakeArchive, node.sovereignty.make, attempts_max=3, timeout_s=HOUR_S / 2, way=CHORE),
        JobKind("sovereignty.retention", Nothing, forget, timeout_s=HOUR_S, way=CHORE),
        JobKind("sovereignty.ledger", Nothing, erase_again, timeout_s=60.0, way=CHORE),
        JobKind("housekeeping.sweep", Nothing, sweep, timeout_s=HOUR_S / 2, way=CHORE),
        JobKind("housekeeping.complete", Nothing, complete, timeout_s=60.0, way=CHORE),
        JobKind("housekeeping.prepare", Nothing, prepare, timeout_s=60.0, way=CHORE),
        JobKind("webhooks.reseal", Nothing, reseal_webhooks, timeout_s=HOUR_S / 2, way=CHORE),
        JobKind("mfa.reseal", Nothing, reseal, timeout_s=HOUR_S / 2, way=CHORE),
        JobKind(GRADE, GradeStream, Grader(node.bridge, node.exchange).run, timeout_s=600.0),
        JobKind(SETTLE, Settle, settle_trust, timeout_s=600.0, way=CHORE),
        JobKind("mentoring.settle", Nothing, settle_mentoring, timeout_s=HOUR_S / 2, way=CHORE),
        JobKind("mentoring.sweep", Nothing, sweep_mentoring, timeout_s=HOUR_S / 2, way=CHORE),
        JobKind(DRAFT, DraftQuestions, drafter.run, attempts_max=6, timeout_s=600.0, way=Way(first_s=5.0, most_s=300.0, at_once_max=2)),
        JobKind("trust.pass", Nothing, pass_trust, timeout_s=HOUR_S / 2, way=CHORE),
        # What fails is due again by its subscription's own clock: the watch orders another.
        JobKind(DELIVER, Delivery, node.outside.deliverer.run, attempts_max=3, timeout_s=120.0, way=Way(at_once_max=64)),
        # A document with a hostile update takes a dozen processes of some seconds each.
        JobKind(
            COMPACT,
            Compact,
            Compactor(node.bridge, node.exchange, run_in_sandbox).run,
            attempts_max=6,
            timeout_s=900.0,
            way=Way(first_s=10.0, most_s=HOUR_S, at_once_max=2),
        ),
        JobKind(forgotten.RESET, forgotten.Forgotten, node.identity.resets.run),
    )


def crons() -> tuple[Cron, ...]:
    """All schedules. The row of a name that is here no more is left alone, and forgotten after a month."""
    return (
        *NOTICE_CRONS,
        *FILE_CRONS,
        *ANALYTICS_CRONS,
        *training_crons(TRAINING),
        *audit_crons(TRAINING),
        Cron("sweep", "housekeeping.sweep", Nothing(), every_s=HOUR_S),
        Cron("complete", "housekeeping.complete", Nothing(), every_s=HOUR_S),
        Cron("retention", "sovereignty.retention", Nothing(), every_s=HOUR_S),
        Cron("ledger", "sovereignty.ledger", Nothing(), every_s=HOUR_S),
        Cron("prepare", "housekeeping.prepare", Nothing(), every_s=DAY_S),
        Cron("reseal-webhooks", "webhooks.reseal", Nothing(), every_s=HOUR_S),
        Cron("reseal", "mfa.reseal", Nothing(), every_s=HOUR_S),
        Cron("trust", "trust.pass", Nothing(), at="17 2 * * *"),
        Cron("mentors", "mentoring.settle", Nothing(), every_s=20.0),
        Cron("mentorships", "mentoring.sweep", Nothing(), every_s=HOUR_S),
        Cron("settle", SETTLE, Settle(), every_s=30.0),
    )
