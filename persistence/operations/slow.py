"""Operations that come one at a time: each a transaction of a few round trips.

    admit ─▶ locks the device, knows the number ─▶ the operation: reads, locks, decides ─▶ finish: events and outcome, one call

Locks are taken in one order everywhere (devices, spaces, records, what is about a record, log rows, streams, each sorted); streams only in
the last call.
"""

from __future__ import annotations

from typing import Final, assert_never

import asyncpg
from msgspec import Struct

from actors.storage import Entry, Fact, Refusal
from persistence import drafting
from persistence.append import Effect, Refuse, finish
from persistence.audit import record
from persistence.documents import operations as documents
from persistence.mentoring import operations as mentoring
from persistence.operations import (
    blocks,
    communities,
    conflicts,
    holding,
    membership,
    messages,
    moderation,
    people,
    progress,
    reports,
    roles,
    slow_mode,
    trust,
    unapplied,
)
from persistence.operations.outgrown import grown, lock_services
from persistence.operations.proving import STEP_UP_S, Prover, proven_within, with_proof
from persistence.operations.services import keep_home
from persistence.uploads import attaching
from persistence.uploads.rules import UploadRules
from protocol.codes import Code
from protocol.operations import (
    AnswerMentorship,
    Appeal,
    AskQuestions,
    Block,
    Change,
    ChangeChannel,
    ChangeDocument,
    ChangeRole,
    ChangeSettings,
    Claim,
    CreateChannel,
    CreateCommunity,
    CreateDocument,
    DecideAppeal,
    DecideHeld,
    DecideReport,
    Delete,
    Discard,
    DropRole,
    Edit,
    EndMentorship,
    Endorse,
    GiveRole,
    Hold,
    Invite,
    Join,
    Leave,
    MakeRole,
    MarkRead,
    NameVersion,
    OpenConversation,
    Post,
    ProposeMentorship,
    React,
    Release,
    Remove,
    Rename,
    Reopen,
    ReportMessage,
    ReportPerson,
    Resolve,
    RestoreVersion,
    Say,
    SetBack,
    SetModeration,
    SetRole,
    SetSlowMode,
    TakeRole,
    Unblock,
    Update,
    WithdrawEndorsement,
    WithdrawProposal,
)

_PROVE: Final = proven_within(STEP_UP_S)


class Outcome(Struct, frozen=True):
    """What became of one entry, once its transaction has committed."""

    code: Code
    value: int = 0
    detail: str = ""
    replayed: bool = False
    facts: tuple[Fact, ...] = ()
    fills_outbox: bool = False


async def carry_out(
    tx: asyncpg.Connection, entry: Entry, prove: Prover = _PROVE, space_bytes_max: int = UploadRules().space_bytes_max
) -> Outcome:
    """Carries one entry out inside a READ COMMITTED transaction; `prove`: whether who asks has proven lately who they are;
    `space_bytes_max`: of the files in one place. Raises SQLSTATE ED001 when its authority moved meanwhile: run it again."""
    if isinstance(entry.operation, Post):
        said = await attaching.post(tx, entry, entry.operation, space_bytes_max)
        decided = said.decided
        return Outcome(decided.code, decided.value, decided.detail, decided.replayed, said.facts, said.fills_outbox)
    admitted = await tx.fetchrow(
        "select admitted, code, value, detail, replayed from admit_entry($1, $2, $3, $4, $5)",
        entry.user,
        entry.device,
        entry.generation,
        entry.number,
        entry.digest,
    )
    assert admitted is not None
    if not admitted["admitted"]:
        return Outcome(Code(admitted["code"]), admitted["value"], admitted["detail"] or "", admitted["replayed"])
    services = await lock_services(tx, entry)
    verdict = await keep_home(tx, entry) or await _decide(tx, await with_proof(tx, entry, prove))
    verdict = await grown(tx, entry, services, verdict)
    if isinstance(verdict, Effect) and verdict.deeds:
        await record(tx, *verdict.deeds, device=entry.device)
    facts, value = await finish(tx, entry, verdict)
    if isinstance(verdict, Refuse):
        return Outcome(verdict.code, 0, verdict.detail)
    return Outcome(Code.OK, value, facts=tuple(facts), fills_outbox=verdict.fills_outbox)


async def _decide(tx: asyncpg.Connection, entry: Entry) -> Effect | Refuse:
    operation = entry.operation
    match operation:
        case Edit():
            return await messages.edit(tx, entry, operation)
        case Delete():
            return await messages.delete(tx, entry, operation)
        case CreateCommunity():
            return await communities.create_community(tx, entry, operation)
        case CreateChannel():
            return await communities.create_channel(tx, entry, operation)
        case ChangeChannel():
            return await communities.change_channel(tx, entry, operation)
        case ChangeSettings():
            return await communities.change_settings(tx, entry, operation)
        case Join():
            return await membership.join(tx, entry, operation)
        case Leave():
            return await membership.leave(tx, entry, operation)
        case Invite():
            return await membership.invite(tx, entry, operation)
        case Remove():
            return await membership.remove(tx, entry, operation)
        case SetRole():
            return await membership.set_role(tx, entry, operation)
        case OpenConversation():
            return await people.open_conversation(tx, entry, operation)
        case Rename():
            return await people.rename(tx, entry, operation)
        case Claim():
            return await conflicts.claim(tx, entry, operation)
        case Resolve():
            return await conflicts.resolve(tx, entry, operation)
        case Reopen():
            return await conflicts.reopen(tx, entry, operation)
        case SetBack():
            return await progress.set_back(tx, entry, operation)
        case Hold():
            return await holding.hold(tx, entry, operation)
        case Release():
            return await unapplied.release(tx, entry, operation)
        case Discard():
            return await unapplied.discard(tx, entry, operation)
        case MakeRole():
            return await roles.make_role(tx, entry, operation)
        case ChangeRole():
            return await roles.change_role(tx, entry, operation)
        case DropRole():
            return await roles.drop_role(tx, entry, operation)
        case GiveRole():
            return await roles.give_role(tx, entry, operation)
        case TakeRole():
            return await roles.take_role(tx, entry, operation)
        case ReportMessage():
            return await reports.report_message(tx, entry, operation)
        case ReportPerson():
            return await reports.report_person(tx, entry, operation)
        case DecideReport():
            return await reports.decide_report(tx, entry, operation)
        case Block():
            return await blocks.block(tx, entry, operation)
        case Unblock():
            return await blocks.unblock(tx, entry, operation)
        case SetSlowMode():
            return await slow_mode.set_slow_mode(tx, entry, operation)
        case Endorse():
            return await trust.endorse(tx, entry, operation)
        case WithdrawEndorsement():
            return await trust.withdraw(tx, entry, operation)
        case AskQuestions():
            return await drafting.ask_questions(tx, entry, operation)
        case DecideHeld():
            return await moderation.decide_held(tx, entry, operation)
        case Appeal():
            return await moderation.appeal(tx, entry, operation)
        case DecideAppeal():
            return await moderation.decide_appeal(tx, entry, operation)
        case SetModeration():
            return await moderation.set_moderation(tx, entry, operation)
        case ProposeMentorship():
            return await mentoring.propose(tx, entry, operation)
        case AnswerMentorship():
            return await mentoring.answer(tx, entry, operation)
        case EndMentorship():
            return await mentoring.end(tx, entry, operation)
        case WithdrawProposal():
            return await mentoring.withdraw(tx, entry, operation)
        case CreateDocument():
            return await documents.create_document(tx, entry, operation)
        case ChangeDocument():
            return await documents.change_document(tx, entry, operation)
        case NameVersion():
            return await documents.name_version(tx, entry, operation)
        case RestoreVersion():
            return await documents.restore_version(tx, entry, operation)
        case Refusal():
            return Refuse(operation.code, operation.detail)
        case Say() | Post() | React() | MarkRead() | Update():
            raise AssertionError(f"{type(operation).__name__} goes the hot way")
        case Change():
            raise AssertionError("changes go the merge way")
        case _:
            assert_never(operation)
