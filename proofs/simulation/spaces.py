"""Who belongs where: the scene that is set, and the operations that let people in and put them out.

    Join ─▶ member, and an enrolment of their own ─▶ Leave or Remove ─▶ both end; the enrolment's records stay

Invariant: whoever is a member of a community is the owner of their enrolment in it, and nobody else is a member of that.
"""

from __future__ import annotations

from actors.storage import CONTROL_STREAM, Fact
from proofs.simulation.people import judge_writers
from proofs.simulation.rows import STAFF, Entered, PutOut, Refused, Space, Tables
from protocol.codes import Code
from protocol.events import AuthorityChanged, ChannelOpened, CommunityFounded, Joined, Left, RoleSet
from protocol.operations import Join, Leave, Remove, SetRole
from protocol.values import Role, Roles, SpaceKind, StreamKind

Membership = Join | Leave | Remove | SetRole


def create_user(tables: Tables, name: str, id: int = 0, home: int = 0, inbox: int = 0, own: int = 0) -> int:
    """An account with its inbox and its own stream of records (numbers: 0 is the next)."""
    user = id or len(tables.inboxes) + 1
    space = tables.create_space(SpaceKind.PERSONAL, "", home)
    space.members[user] = Role.OWNER
    space.of = user
    tables.inboxes[user] = tables.create_stream(space, StreamKind.INBOX, "", Roles.OWNER, 0, inbox).id
    tables.create_stream(space, StreamKind.OWN, "", Roles.OWNER, 0, own)
    tables.names[user] = name
    return user


def create_community(
    tables: Tables, name: str, owner: int, id: int, streams: tuple[int, int, int, int, int], open_to_all: bool, now: int
) -> Space:
    """A community with its own stream, a first channel, a board, a library and a studio, which have these numbers (0: the next)."""
    space = tables.create_space(SpaceKind.COMMUNITY, name, id)
    space.open_to_all = open_to_all
    own = tables.create_stream(space, StreamKind.COMMUNITY, name, Roles.ALL, 0, streams[0]).id
    general = tables.create_stream(space, StreamKind.CHANNEL, "general", id=streams[1]).id
    tables.create_stream(space, StreamKind.BOARD, "", Roles.ALL, 0, streams[2])
    tables.create_stream(space, StreamKind.LIBRARY, "", Roles.ALL, 0, streams[3])
    tables.create_stream(space, StreamKind.STUDIO, "", Roles.STAFF | Roles.MENTOR, 0, streams[4])
    admit(tables, space, owner, Role.OWNER)
    tables.append(own, owner, now, CommunityFounded(name))
    tables.append(own, owner, now, Joined(owner, Role.OWNER, tables.names[owner]))
    tables.append(own, owner, now, ChannelOpened(general, "general", Roles.ALL, Roles.ALL))
    tables.outbox.append((owner, Entered(space.id)))
    return space


def admit(tables: Tables, space: Space, user: int, role: Role) -> None:
    """Makes somebody a member, and gives them what a member has."""
    space.members[user] = role
    if space.kind is not SpaceKind.COMMUNITY:
        return
    enrolment = tables.enrolment(space.id, user)
    if enrolment is None:
        chosen = tables.chosen.get(("enrolment", space.id, user), (0, 0, 0))
        enrolment = tables.create_space(SpaceKind.ENROLMENT, "", chosen[0])
        enrolment.parent, enrolment.of = space.id, user
        tables.create_stream(enrolment, StreamKind.PROGRESS, "", Roles.OWNER, 0, chosen[1])
        tables.create_stream(enrolment, StreamKind.ANSWERS, "", Roles.OWNER, 0, chosen[2])
    enrolment.members[user] = Role.OWNER


def change_membership(tables: Tables, user: int, operation: Membership, now: int) -> tuple[int, list[Fact]]:
    """Carries one out; the value and what happened. Raises `Refused`."""
    space = tables.spaces.get(operation.space)
    if space is None:
        raise Refused(Code.NOT_FOUND)
    match operation:
        case Join():
            return _join(tables, user, space, now)
        case Leave():
            if user not in space.members:
                raise Refused(Code.NOT_FOUND)
            if space.kind in (SpaceKind.PERSONAL, SpaceKind.ENROLMENT):
                raise Refused(Code.FORBIDDEN)
            return _put_out(tables, user, space, user, now)
        case Remove():
            actor = _actor(space, user, STAFF)
            subject = space.members.get(operation.user)
            if subject is None:
                raise Refused(Code.NOT_FOUND)
            if subject is Role.OWNER and actor is not Role.OWNER:
                raise Refused(Code.FORBIDDEN)
            return _put_out(tables, operation.user, space, user, now)
        case SetRole():
            _actor(space, user, (Role.OWNER,))
            subject = space.members.get(operation.user)
            if subject is None:
                raise Refused(Code.NOT_FOUND)
            if operation.role is not Role.OWNER:
                _keep_an_owner(space, operation.user)
            if subject is operation.role:
                return 0, []
            space.members[operation.user] = operation.role
            for stream in space.streams:
                tables.streams[stream].audience_version += 1
            told = tables.append(space.streams[0], user, now, RoleSet(operation.user, operation.role))
            return 0, [told, tables.append(CONTROL_STREAM, 0, now, AuthorityChanged(space.id, operation.user))]


def _join(tables: Tables, user: int, space: Space, now: int) -> tuple[int, list[Fact]]:
    if space.kind is not SpaceKind.COMMUNITY:
        raise Refused(Code.NOT_FOUND)
    if user in space.members:
        return space.id, []
    if not space.open_to_all:
        raise Refused(Code.NOT_FOUND)
    admit(tables, space, user, Role.LEARNER)
    tables.outbox.append((user, Entered(space.id)))
    told = tables.append(space.streams[0], user, now, Joined(user, Role.LEARNER, tables.names[user]))
    return space.id, [told, *_authority_changed(tables, space, user, now)]


def _put_out(tables: Tables, user: int, space: Space, by: int, now: int) -> tuple[int, list[Fact]]:
    _keep_an_owner(space, user)
    enrolment = tables.enrolment(space.id, user)
    del space.members[user]
    space.whole = False
    judge_writers(tables, space)
    streams = list(space.streams)
    if enrolment is not None:
        del enrolment.members[user]
        streams += enrolment.streams
    for stream in streams:
        tables.put_out[stream, user] = len(tables.streams[stream].log)
        tables.streams[stream].audience_version += 1
    told = tables.append(space.streams[0], by, now, Left(user, by))
    tables.outbox.append((user, PutOut(space.id, by)))
    return 0, [told, *_authority_changed(tables, space, user, now)]


def _authority_changed(tables: Tables, space: Space, user: int, now: int) -> list[Fact]:
    """Every gateway is told, of the community and of the enrolment."""
    enrolment = tables.enrolment(space.id, user)
    about = [space.id] if enrolment is None else [space.id, enrolment.id]
    return [tables.append(CONTROL_STREAM, 0, now, AuthorityChanged(id, user)) for id in about]


def _actor(space: Space, user: int, roles: tuple[Role, ...]) -> Role:
    role = space.members.get(user)
    if role is None:
        raise Refused(Code.NOT_FOUND)
    if space.kind is not SpaceKind.COMMUNITY or role not in roles:
        raise Refused(Code.FORBIDDEN)
    return role


def _keep_an_owner(space: Space, user: int) -> None:
    if space.members[user] is Role.OWNER and list(space.members.values()).count(Role.OWNER) == 1:
        raise Refused(Code.CONFLICT)
