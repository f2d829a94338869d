"""A sample of every operation: one that succeeds for whoever may, whatever the cells before it did.

Invariant: what a sample names exists and is fresh; the only reason why it can be refused is who asks.
"""

from __future__ import annotations

from msgspec import Raw

from proofs.matrixing.site import Site, operation
from proofs.matrixing.standing import Manner
from protocol.entities import TABLE, Declaration, Entity, Fields, Several, Whole, Words, YesNo, write_fields
from protocol.operations import (
    AnyOperation,
    Block,
    Change,
    ChangeChannel,
    ChangeRole,
    ChangeSettings,
    Claim,
    CreateChannel,
    CreateCommunity,
    DecideReport,
    Delete,
    Discard,
    DropRole,
    Edit,
    Endorse,
    GiveRole,
    Held,
    Hold,
    Invite,
    Join,
    Leave,
    MakeRole,
    MarkRead,
    OpenConversation,
    Post,
    React,
    Release,
    Remove,
    Rename,
    Reopen,
    ReportMessage,
    ReportPerson,
    Resolve,
    Say,
    SetBack,
    SetRole,
    SetSlowMode,
    TakeRole,
    Unblock,
    WithdrawEndorsement,
)
from protocol.permissions import OWN, Permission, in_space, mask, on_platform
from protocol.values import Choice, ReportReason, Role, StreamKind

AT = 1_760_000_000
SEEING = in_space(Permission.READ)
GIVING_POWER = in_space(Permission.MANAGE_ROLES, step_up=True)
"""Where a role that makes somebody master of a community is made or given."""
NO_ACCOUNT = frozenset({Manner.NOBODY})


@operation(Say)
async def say(site: Site) -> AnyOperation:
    return Say(site.place.channel, "good morning")


@operation(Post)
async def post(site: Site) -> AnyOperation:
    return Post(site.place.channel, "good morning", 1)


@operation(Edit, without=NO_ACCOUNT)
async def edit(site: Site) -> AnyOperation:
    return Edit(site.place.channel, await site.ground.message(site.place.channel, site.user), "good evening")


@operation(Delete)
async def delete(site: Site) -> AnyOperation:
    return Delete(site.place.channel, await site.ground.message(site.place.channel, site.place.owner.user))


@operation(Delete, "of one's own", mine=True, without=NO_ACCOUNT)
async def delete_own(site: Site) -> AnyOperation:
    return Delete(site.place.channel, await site.ground.message(site.place.channel, site.user))


@operation(React)
async def react(site: Site) -> AnyOperation:
    return React(site.place.channel, 1, "x")


@operation(MarkRead)
async def mark_read(site: Site) -> AnyOperation:
    return MarkRead(site.place.channel, 1)


@operation(CreateCommunity, foreign=False)
async def create_community(site: Site) -> AnyOperation:
    return CreateCommunity(site.ground.word())


@operation(CreateChannel)
async def create_channel(site: Site) -> AnyOperation:
    return CreateChannel(site.place.space, site.ground.word())


@operation(ChangeChannel)
async def change_channel(site: Site) -> AnyOperation:
    return ChangeChannel(site.place.other_channel, site.ground.word(), 15, 15)


@operation(Join)
async def join(site: Site) -> AnyOperation:
    return Join(site.place.square)


@operation(Leave)
async def leave(site: Site) -> AnyOperation:
    if site.is_own and site.actor.standing.is_member:
        await site.ground.admit(site.place.exit, site.user, site.actor.standing.role)
    return Leave(site.place.exit)


@operation(Invite)
async def invite(site: Site) -> AnyOperation:
    return Invite(site.place.space, site.place.stranger.user)


@operation(Remove)
async def remove(site: Site) -> AnyOperation:
    await site.ground.admit(site.place.space, site.place.victim.user, Role.LEARNER)
    return Remove(site.place.space, site.place.victim.user)


@operation(SetRole)
async def set_role(site: Site) -> AnyOperation:
    return SetRole(site.place.space, site.place.pupil.user, Role.LEARNER)


@operation(ChangeSettings)
async def change_settings(site: Site) -> AnyOperation:
    return ChangeSettings(site.place.space, site.ground.word(), False, "{}")


@operation(OpenConversation, foreign=False)
async def open_conversation(site: Site) -> AnyOperation:
    return OpenConversation((site.place.owner.user,))


@operation(Rename, foreign=False)
async def rename(site: Site) -> AnyOperation:
    return Rename(site.ground.word())


def _fields(declaration: Declaration) -> Raw:
    """A value of each kind of field, within its bounds."""
    fields: Fields = {}
    for field in declaration.fields:
        if field.until:
            continue
        match field.kind:
            case Whole(minimum, _):
                fields[field.number] = minimum
            case Words():
                fields[field.number] = ""
            case YesNo():
                fields[field.number] = True
            case Several():
                fields[field.number] = ()
    return write_fields(fields)


async def _stream(site: Site, kind: StreamKind) -> int:
    """The stream of this kind of the actor, or of the place; of whom there is none, one of somebody else's."""
    mine = site.is_own and site.actor.standing.manner is not Manner.NOBODY
    if kind is StreamKind.OWN:
        return await site.ground.personal(site.user if mine else site.other.user, kind)
    if kind in (StreamKind.PROGRESS, StreamKind.ANSWERS):
        mine = mine and site.actor.standing.manner is not Manner.STRANGER
        return await site.ground.enrolled(site.place.space, site.user if mine else site.place.pupil.user, kind)
    if kind is StreamKind.MENTORSHIP:
        return await site.ground.mentorship(site.user if mine else site.place.pupil.user, site.other.user)
    return {StreamKind.BOARD: site.place.board, StreamKind.LIBRARY: site.place.library}[kind]


def _sample_change(declaration: Declaration) -> None:
    """A sample of changing this entity. What is a member's own ends with the membership; what is a person's, never."""
    needs = in_space(declaration.permission) if declaration.permission is not None else SEEING
    if declaration.stream in (StreamKind.OWN, StreamKind.MENTORSHIP):
        needs = OWN

    @operation(Change, declaration.entity.name, needs=needs)
    async def change(site: Site) -> AnyOperation:
        return Change(await _stream(site, declaration.stream), declaration.entity, 1, AT, _fields(declaration))


for _declaration in TABLE.values():
    # What only the server writes is nobody's, and the studio goes by base role alone: no permission says either. Their tests are in
    # tests/persistence/learning/test_places.py.
    if _declaration.writers and _declaration.stream is not StreamKind.STUDIO:
        _sample_change(_declaration)


async def make_conflict(site: Site) -> int:
    """A conflict of the mentor's with the owner, about a section that nobody else has written."""
    key = await site.ground.next_key()
    for text in ("one", "two"):
        code, value, detail = await site.writer.do(_section(site, key, text))
        assert not code, (code, detail)
    code, value, detail = await site.watcher.do(_section(site, key, "three"))
    assert not code and value & 7, (code, value, detail)
    return value >> 3


def _section(site: Site, key: int, text: str) -> Change:
    return Change(site.place.library, Entity.CONTENT, key, AT, write_fields({1: "title", 2: text}))


@operation(Claim)
async def claim(site: Site) -> AnyOperation:
    return Claim(await make_conflict(site))


@operation(Claim, "of one's own", mine=True, without=NO_ACCOUNT)
async def claim_own(site: Site) -> AnyOperation:
    conflict = await make_conflict(site)
    await site.ground.rows("update sync_conflicts set user_id = $2 where id = $1", conflict, site.user)
    return Claim(conflict)


@operation(Resolve)
async def resolve(site: Site) -> AnyOperation:
    conflict = await make_conflict(site)
    return Resolve(conflict, Choice.MINE, 2**40, AT)


@operation(Reopen)
async def reopen(site: Site) -> AnyOperation:
    conflict = await make_conflict(site)
    code, _, detail = await site.writer.do(Resolve(conflict, Choice.MINE, 2**40, AT))
    assert not code, detail
    return Reopen(conflict)


@operation(SetBack)
async def set_back(site: Site) -> AnyOperation:
    return SetBack(site.place.space, site.place.pupil.user, 1)


@operation(Hold, needs=SEEING, done=bool)
async def hold(site: Site) -> AnyOperation:
    """What one may not read is passed over: then the value is 0."""
    return Hold((Held(site.place.channel),))


@operation(Release)
async def release(site: Site) -> AnyOperation:
    item = await site.ground.refuse(site.place)
    await site.ground.rows("update members set role = 4 where space_id = $1 and user_id = $2", site.place.space, site.place.refused.user)
    return Release(item)


@operation(Discard)
async def discard(site: Site) -> AnyOperation:
    return Discard(await site.ground.refuse(site.place))


@operation(Discard, "of one's own", mine=True, needs=OWN, foreign=False, without=NO_ACCOUNT)
async def discard_own(site: Site) -> AnyOperation:
    item = await site.ground.refuse(site.place)
    await site.ground.rows("update sync_queue set user_id = $2 where id = $1", item, site.user)
    return Discard(item)


@operation(ReportMessage)
async def report_message(site: Site) -> AnyOperation:
    return ReportMessage(site.place.channel, site.place.message, ReportReason.SPAM)


@operation(ReportPerson)
async def report_person(site: Site) -> AnyOperation:
    return ReportPerson(site.place.pupil.user, ReportReason.SPAM, space=0 if site.is_own else site.place.space)


@operation(DecideReport)
async def decide_report(site: Site) -> AnyOperation:
    return DecideReport(await site.ground.report(site.place, site.place.space), False)


@operation(DecideReport, "of the platform's", foreign=False, needs=on_platform(Permission.REVIEW_PLATFORM))
async def decide_platform_report(site: Site) -> AnyOperation:
    return DecideReport(await site.ground.report(site.place, 0), False)


@operation(Block, foreign=False)
async def block(site: Site) -> AnyOperation:
    return Block(site.place.stranger.user)


@operation(Unblock, foreign=False)
async def unblock(site: Site) -> AnyOperation:
    return Unblock(site.place.stranger.user)


@operation(SetSlowMode)
async def set_slow_mode(site: Site) -> AnyOperation:
    return SetSlowMode(site.place.other_channel, 0)


@operation(MakeRole)
async def make_role(site: Site) -> AnyOperation:
    await site.ground.rows("delete from roles where space_id = $1 and (permissions = 0 or created_by <> 0)", site.place.space)
    return MakeRole(site.place.space, site.ground.word(), mask((Permission.READ,)))


@operation(ChangeRole)
async def change_role(site: Site) -> AnyOperation:
    return ChangeRole(site.place.space, await site.ground.role(site.place.space), site.ground.word(), mask((Permission.READ,)))


@operation(DropRole)
async def drop_role(site: Site) -> AnyOperation:
    return DropRole(site.place.space, await site.ground.role(site.place.space))


@operation(GiveRole)
async def give_role(site: Site) -> AnyOperation:
    role = await site.ground.role(site.place.space)
    await site.ground.rows("delete from user_roles where user_id = $1", site.place.pupil.user)
    return GiveRole(site.place.space, role, site.place.pupil.user)


@operation(TakeRole)
async def take_role(site: Site) -> AnyOperation:
    return TakeRole(site.place.space, await site.ground.give(site.place.space, site.place.pupil.user, 0), site.place.pupil.user)


@operation(Endorse)
async def endorse(site: Site) -> AnyOperation:
    return Endorse(site.place.space, site.place.pupil.user)


@operation(WithdrawEndorsement, foreign=False)
async def withdraw_endorsement(site: Site) -> AnyOperation:
    return WithdrawEndorsement(site.place.space, site.place.pupil.user)


@operation(MakeRole, "of power", needs=GIVING_POWER)
async def make_role_of_power(site: Site) -> AnyOperation:
    return MakeRole(site.place.space, site.ground.word(), mask((Permission.MANAGE_ROLES,)))


@operation(ChangeRole, "to power", needs=GIVING_POWER)
async def change_role_to_power(site: Site) -> AnyOperation:
    return ChangeRole(site.place.space, await site.ground.role(site.place.space), site.ground.word(), mask((Permission.MANAGE_ROLES,)))


@operation(GiveRole, "of power", needs=GIVING_POWER)
async def give_role_of_power(site: Site) -> AnyOperation:
    role = await site.ground.role(site.place.space)
    await site.ground.rows("update roles set permissions = $2 where id = $1", role, mask((Permission.MANAGE_ROLES,)))
    return GiveRole(site.place.space, role, site.place.pupil.user)
