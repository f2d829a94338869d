"""A small, honest server for the client's tests: the rules of the protocol over a link made of memory, and a script of misfortunes.

    FakeServer.transport ─▶ MemoryLink ─▶ Conversation: Hello, Mutate, Follow, …        `log`, `devices`: what is really there

Honest means: numbers are contiguous per device, a known number is answered with its stored outcome, an event is sent to whoever
follows, a newer socket of a device takes over. The script says what goes wrong: `refuse` the next mutations, `lose` events on their
way, `cut` sockets after so many messages, be `away`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import trio
from msgspec import Raw

from client.errors import LinkClosed, Unreachable
from client.heirs import digest_of
from client.link import Link, MemoryLink, MemoryTransport
from protocol import events as e
from protocol import operations as op
from protocol.chunks import expand
from protocol.codec import BadFrame, decode_command, decode_operation, encode, join, split
from protocol.codes import Code
from protocol.cursors import unpack
from protocol.frames import (
    AnyCommand,
    AnyFrame,
    Bye,
    Chunk,
    Done,
    Draining,
    Event,
    Failed,
    Find,
    Follow,
    Followed,
    Found,
    FoundMessage,
    Goodbye,
    Granted,
    Hello,
    History,
    Inherit,
    Inherited,
    Invitation,
    IsTyping,
    Limits,
    Member,
    MemberPage,
    Members,
    Mutate,
    Overview,
    Page,
    PageEvent,
    Person,
    Ping,
    Pong,
    Presence,
    Refresh,
    Refused,
    Resume,
    Resumed,
    Search,
    Sent,
    Settlement,
    Spaces,
    SpaceState,
    StreamState,
    Sync,
    TakeTicket,
    Ticket,
    Typing,
    Unfollow,
    Watch,
    Welcome,
)
from protocol.values import Cursor, Role, SpaceKind, StreamKind
from tests.client.fake_records import FakeRecords

PAGE = 16
"""Events sent for one `Follow`: small, so that every test of catching up crosses several pages."""


class Device:
    """What the server keeps of a device: the last decided number, and every outcome with the bytes it belongs to."""

    def __init__(self) -> None:
        self.last_number = 0
        self.outcomes: dict[int, tuple[bytes, AnyFrame]] = {}


class Space:
    def __init__(self, id: int, kind: SpaceKind, name: str, streams: list[tuple[int, StreamKind, str]]) -> None:
        self.id = id
        self.kind = kind
        self.name = name
        self.streams = streams
        self.members: dict[int, Role] = {}


class FakeServer:
    """The whole backend in one object. Users are named by number; user n's inbox is stream 1000 + n."""

    def __init__(self) -> None:
        self.log: dict[int, list[Event]] = {}
        self.devices: dict[int, Device] = {}
        self.owners: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.logins: dict[int, str] = {}
        """Where somebody logs in with another name than the one that is shown."""
        self.spaces: dict[int, Space] = {}
        self.vouched: set[tuple[int, int, int]] = set()
        self.blocks: set[tuple[int, int]] = set()
        """Who blocks whom."""
        self.reports: list[tuple[int, int, int, str]] = []
        self.conversations: set[Conversation] = set()
        self.tokens: dict[str, int] = {}
        self.epoch = 7
        self.limits = Limits(65_536, 16, 64)
        self.heartbeat_s = 60
        self.clock_s = 1_800_000_000
        self.greetings: list[Hello] = []
        self.tickets: dict[bytes, tuple[int, int]] | None = {}
        """Those that were given, each for a device and an epoch; None: a server that is older than tickets."""
        self.resumes: list[Resume] = []
        self.cursors: tuple[Cursor, ...] = ()
        """What the last socket began with, by `Hello` or by `Resume`."""
        self.commands: list[AnyCommand] = []
        # The script.
        self.away = False
        self.mute = False
        self.refusals: deque[Refused] = deque()
        self.goodbyes: deque[Goodbye] = deque()
        self.cuts: deque[int] = deque()
        self.lose: Callable[[Event], bool] = lambda event: False
        self.forbidden: dict[int, Code] = {}
        self.floors: dict[int, int] = {}
        """What is older than this of a stream is not kept."""
        self.fenced: set[int] = set()
        self.records = FakeRecords(self.append, lambda stream: len(self.log[stream]) if stream in self.log else -1)
        self.own: dict[int, int] = {}
        """The stream of a person's own records, by user."""
        self._next_id = 5000
        self._nursery: trio.Nursery | None = None

    # Setting the scene

    def user(self, user: int, *devices: int, name: str = "") -> int:
        """Adds an account with devices; returns its inbox."""
        self.names[user] = name or f"user{user}"
        for device in devices:
            self.devices[device] = Device()
            self.owners[device] = user
            self.tokens[f"token-{device}"] = device
        self.log.setdefault(1000 + user, [])
        return 1000 + user

    def append(self, stream: int, author: int, body: e.AnyBody) -> Event:
        """A fact, sent to whoever follows."""
        log = self.log.setdefault(stream, [])
        event = Event(stream, len(log) + 1, author, self.clock_s, body)
        log.append(event)
        for conversation in list(self.conversations):
            if stream in conversation.following and not self.lose(event):
                conversation.tell(event)
        return event

    def texts(self, stream: int) -> list[str]:
        """The messages of a stream as they stand in the log."""
        return [event.body.text for event in self.log.get(stream, []) if isinstance(event.body, e.Said | e.Posted)]

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    # Being reached

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def transport(self) -> MemoryTransport:
        return MemoryTransport(self._accept)

    def _accept(self, link: MemoryLink) -> None:
        if self.away:
            raise Unreachable("the fake server is away")
        assert self._nursery is not None
        self._nursery.start_soon(self.serve, link, link.end, link.cut)

    async def serve(self, link: Link, end: Callable[[int], None], cut: Callable[[], None]) -> None:
        """One socket, from Hello to its end."""
        conversation = Conversation(self, link, end, cut, self.cuts.popleft() if self.cuts else -1)
        try:
            async with trio.open_nursery() as nursery:
                conversation.scope = nursery.cancel_scope
                nursery.start_soon(conversation.write)
                nursery.start_soon(conversation.read)
        finally:
            self.conversations.discard(conversation)
            end(0)

    def cut_all(self) -> None:
        """Every socket is gone, with whatever was on its way."""
        for conversation in list(self.conversations):
            conversation.cut()

    def tell_all(self, frame: AnyFrame) -> None:
        for conversation in list(self.conversations):
            conversation.tell(frame)

    def visit(self, device: int, body: bytes) -> bytes:
        """One exchange over HTTP: everything of the body, answered in its order."""
        sync, *commands = [decode_command(raw_frame) for raw_frame in split(body)]
        assert isinstance(sync, Sync)
        self.commands += (sync, *commands)
        user = self.owners[device]
        answers: list[AnyFrame] = [self.welcome(device)]
        for command in commands if sync.epoch in (0, self.epoch) else ():
            match command:
                case Mutate(number, operation):
                    answers.append(self.decide(device, number, bytes(operation)))
                case Chunk(number):
                    for at, change in enumerate(expand(command), number):
                        assert isinstance(change, bytes)
                        answers.append(self.decide(device, at, change))
                case Follow(id, stream, after):
                    code = self.forbidden.get(stream, Code.OK if stream in self.log else Code.NOT_FOUND)
                    events = self.log.get(stream, [])[after : after + PAGE] if code is Code.OK else []
                    followed = Followed(id, stream, after + len(events), False)
                    answers += (*events, followed) if code is Code.OK else (Failed(id, code, stream=stream),)
                case _:
                    answer = self.records.answer(device, command) or self.answer(user, command)
                    assert answer is not None, command
                    answers.append(answer)
        return join([encode(frame) for frame in answers])

    def welcome(self, device: int) -> Welcome:
        user, last = self.owners[device], self.devices[device].last_number
        now_ms, expires = self.clock_s * 1000, self.clock_s + 900
        return Welcome(1, 1, user, 1000 + user, last, self.epoch, now_ms, self.heartbeat_s, expires, self.limits)

    # Deciding

    def decide(self, device: int, number: int, frozen: bytes) -> AnyFrame:
        """What becomes of a mutation."""
        known = self.devices[device]
        if number <= known.last_number:
            before, outcome = known.outcomes[number]
            return outcome if before == frozen else Refused(number, Code.NUMBER_REUSED)
        if number > known.last_number + 1:
            return Refused(number, Code.GAP)
        if self.refusals:
            refused = self.refusals.popleft()
            outcome = Refused(number, refused.code, refused.detail, refused.wait_ms)
            if refused.code in (Code.BUSY, Code.RATE, Code.UNAVAILABLE):
                return outcome
        else:
            operation = decode_operation(frozen)
            about_records = self.records.carry_out(self.owners[device], device, number, operation)
            outcome = about_records or self._carry_out(self.owners[device], number, operation)
        known.last_number = number
        known.outcomes[number] = (frozen, outcome)
        return outcome

    def _carry_out(self, user: int, number: int, operation: op.AnyOperation) -> AnyFrame:
        match operation:
            case op.Say(stream, text):
                return self._say(user, number, stream, e.Said(text))
            case op.Post(stream, text, reply_to, mentions):
                outcome = self._say(user, number, stream, e.Posted(text, reply_to, mentions))
                for mentioned in mentions:
                    assert isinstance(outcome, Done)
                    self.append(1000 + mentioned, 0, e.Mentioned(stream, outcome.value, user))
                return outcome
            case op.Edit(stream, target, text):
                return self._change(user, number, stream, target, e.Edited(target, text))
            case op.Delete(stream, target):
                return self._change(user, number, stream, target, e.Deleted(target))
            case op.React(stream, target, emoji, on):
                return self._change(user, number, stream, target, e.Reacted(target, emoji, on))
            case op.MarkRead(stream, seq):
                self.append(1000 + user, 0, e.ReadUpTo(stream, seq))
                return Done(number, seq)
            case op.CreateCommunity(name, _, _):
                space = self.new_space(SpaceKind.COMMUNITY, name)
                self.enter(space, user, Role.OWNER)
                return Done(number, space.id)
            case op.CreateChannel(space_id, name, _, _):
                stream = self.new_id()
                self.spaces[space_id].streams.append((stream, StreamKind.CHANNEL, name))
                self.log[stream] = []
                self.append(self.spaces[space_id].streams[0][0], user, e.ChannelOpened(stream, name, 15, 15))
                return Done(number, stream)
            case op.Join(space_id):
                if space_id not in self.spaces:
                    return Refused(number, Code.NOT_FOUND)
                self.enter(self.spaces[space_id], user, Role.LEARNER)
                return Done(number, space_id)
            case op.Leave(space_id):
                self.spaces[space_id].members.pop(user, None)
                self.append(1000 + user, 0, e.SpaceLeft(space_id))
                return Done(number, space_id)
            case op.Invite(space_id, invited, role):
                self.append(1000 + invited, 0, e.Invited(space_id, self.spaces[space_id].name, role, user))
                return Done(number, 0)
            case op.Endorse(space_id, endorsed):
                self.vouched.add((user, endorsed, space_id))
                return Done(number, 0)
            case op.WithdrawEndorsement(space_id, endorsed):
                self.vouched.discard((user, endorsed, space_id))
                return Done(number, 0)
            case op.Block(other) | op.Unblock(other):
                on = isinstance(operation, op.Block)
                if ((user, other) in self.blocks) is not on:
                    (self.blocks.add if on else self.blocks.discard)((user, other))
                    self.append(1000 + user, user, e.PersonBlocked(other, on))
                return Done(number, 0)
            case op.ReportMessage(stream, target, _, words):
                self.reports.append((user, stream, target, words))
                return Done(number, len(self.reports))
            case op.OpenConversation(users):
                people = {user, *users}
                for space in self.spaces.values():
                    if space.kind is SpaceKind.CONVERSATION and set(space.members) == people:
                        return Done(number, space.streams[0][0])
                space = self.new_space(SpaceKind.CONVERSATION, "")
                for member in sorted(people):
                    self.enter(space, member, Role.LEARNER)
                return Done(number, space.streams[0][0])
            case _:
                return Refused(number, Code.UNKNOWN)

    def _say(self, user: int, number: int, stream: int, body: e.AnyBody) -> AnyFrame:
        if stream not in self.log:
            return Refused(number, Code.NOT_FOUND, "no such stream")
        return Done(number, self.append(stream, user, body).seq)

    def _change(self, user: int, number: int, stream: int, target: int, body: e.AnyBody) -> AnyFrame:
        """Appends a change, and rewrites what it changes as the real log does."""
        log = self.log.get(stream, [])
        if not 0 < target <= len(log) or not isinstance(log[target - 1].body, e.Said | e.Posted):
            return Refused(number, Code.NOT_FOUND, "no such message")
        rewrite(log, body)
        return Done(number, self.append(stream, user, body).seq)

    def new_space(self, kind: SpaceKind, name: str) -> Space:
        own = StreamKind.COMMUNITY if kind is SpaceKind.COMMUNITY else StreamKind.CONVERSATION
        streams = [(self.new_id(), own, name)]
        if kind is SpaceKind.COMMUNITY:
            streams.append((self.new_id(), StreamKind.CHANNEL, "general"))
        space = Space(self.new_id(), kind, name, streams)
        self.spaces[space.id] = space
        for stream, _, _ in streams:
            self.log[stream] = []
        return space

    def enter(self, space: Space, user: int, role: Role) -> None:
        space.members[user] = role
        if space.kind is SpaceKind.COMMUNITY:
            self.append(space.streams[0][0], user, e.Joined(user, role, self.names[user]))
        streams = tuple(e.StreamInfo(*stream) for stream in space.streams)
        self.append(1000 + user, 0, e.SpaceEntered(space.id, space.kind, space.name, role, streams))

    def answer(self, user: int, command: AnyCommand) -> AnyFrame | None:
        match command:
            case Ping(id, _):
                return Pong(id, self.clock_s * 1000)
            case Overview(id):
                spaces = [self._space(space, user) for space in self.spaces.values() if user in space.members]
                blocked = tuple(other for blocker, other in sorted(self.blocks) if blocker == user)
                return Spaces(id, len(self.log[1000 + user]), (*self._personal(user), *spaces), tuple(self._invitations(user)), blocked)
            case History(id, stream, before, after, limit):
                if stream not in self.log:
                    return Failed(id, Code.NOT_FOUND)
                picked = [event for event in self.log[stream] if (event.seq > after if after else event.seq < before)]
                page = picked[:limit] if after else picked[-limit:]
                events = tuple(PageEvent(event.seq, event.author, event.at, Raw(encode(event.body))) for event in page)
                return Page(id, stream, events, len(page) < len(picked))
            case Members(id, space, after, limit):
                people = sorted(member for member in self.spaces[space].members if member > after)
                members = tuple(
                    Member(member, self.spaces[space].members[member], self.names[member], self.logins.get(member, self.names[member]))
                    for member in people[:limit]
                )
                return MemberPage(id, space, members, len(people) > limit)
            case Search(id, name):
                for found, known in self.names.items():
                    if known == name:
                        return Person(id, found, known, known.title())
                return Failed(id, Code.NOT_FOUND, f"nobody is called {name}")
            case Find(id, words):
                # As a person would: the words as they are.
                findings = tuple(
                    FoundMessage(1, stream, event.seq, event.author, self.names[event.author], event.at, True, ("", words, after))
                    for stream, log in self.log.items()
                    for event in log
                    if isinstance(event.body, e.Said) and event.body.text.startswith(words)
                    for after in (event.body.text[len(words) :],)
                )
                return Found(id, findings)
            case Inherit(id, device, sent):
                return self._inherit(user, id, device, sent)
            case Refresh(id, token):
                return Granted(id) if token in self.tokens else Failed(id, Code.FORBIDDEN)
            case _:
                return None

    def own_stream(self, user: int) -> int:
        """Gives somebody a stream of their own records."""
        stream = self.own[user] = self.new_id()
        self.log[stream] = []
        return stream

    def record_streams(self, space: Space, user: int) -> tuple[int, int, int, int]:
        """Gives a community a board and a library, and a member progress and answers there."""
        board, library, progress, answers = (self.new_id() for _ in range(4))
        space.streams += [(board, StreamKind.BOARD, "board"), (library, StreamKind.LIBRARY, "library")]
        enrolment = Space(
            self.new_id(), SpaceKind.ENROLMENT, str(space.id), [(progress, StreamKind.PROGRESS, ""), (answers, StreamKind.ANSWERS, "")]
        )
        enrolment.members[user] = Role.OWNER
        self.spaces[enrolment.id] = enrolment
        for stream in (board, library, progress, answers):
            self.log[stream] = []
        return board, library, progress, answers

    def leave(self, space: Space, user: int) -> None:
        """Ends a membership: the enrolment goes with it, and nothing of the space can be followed."""
        space.members.pop(user)
        for enrolment in list(self.spaces.values()):
            if enrolment.kind is SpaceKind.ENROLMENT and enrolment.name == str(space.id) and user in enrolment.members:
                del self.spaces[enrolment.id]
                self.forbidden |= {stream: Code.NOT_FOUND for stream, _, _ in enrolment.streams}
        self.append(1000 + user, 0, e.SpaceLeft(space.id))

    def _personal(self, user: int) -> Iterator[SpaceState]:
        stream = self.own.get(user)
        if stream is not None:
            state = StreamState(stream, StreamKind.OWN, "", len(self.log[stream]), 0, True)
            yield SpaceState(9000 + user, SpaceKind.PERSONAL, "", Role.OWNER, (state,))

    def _inherit(self, user: int, id: int, device: int, sent: tuple[Sent, ...]) -> AnyFrame:
        """Ends another device, and says what became of these mutations of it."""
        if self.owners.get(device) != user:
            return Failed(id, Code.NOT_FOUND, "no such device of this account")
        self.fenced.add(device)
        for other in list(self.conversations):
            if other.device == device:
                other.tell(Goodbye(Code.REVOKED))
        settled = []
        for number, digest in ((one.number, one.digest) for one in sent):
            frozen, outcome = self.devices[device].outcomes.get(number, (b"", None))
            if outcome is None or digest_of(frozen) != digest:
                continue
            refused = isinstance(outcome, Refused)
            settled.append(Settlement(number, outcome.code if refused else Code.OK, 0 if refused else getattr(outcome, "value", 0)))
        return Inherited(id, tuple(settled))

    def _invitations(self, user: int) -> Iterator[Invitation]:
        for event in reversed(self.log[1000 + user]):
            match event.body:
                case e.Invited(space, name, role, by) if user not in self.spaces[space].members:
                    yield Invitation(space, name, role, by, self.names[by].title())

    def _space(self, space: Space, user: int) -> SpaceState:
        streams = tuple(StreamState(stream, kind, name, len(self.log[stream]), 0, True) for stream, kind, name in space.streams)
        return SpaceState(space.id, space.kind, space.name, space.members[user], streams)


class Conversation:
    """One socket, as the server sees it."""

    def __init__(self, server: FakeServer, link: Link, end: Callable[[int], None], cut: Callable[[], None], messages_left: int) -> None:
        self.server = server
        self.link = link
        self.end = end
        self._cut = cut
        self.messages_left = messages_left
        self.scope = trio.CancelScope()
        self.device = 0
        self.user = 0
        self.following: set[int] = set()
        self.frames: deque[AnyFrame] = deque()
        self.filled = trio.Event()

    def tell(self, frame: AnyFrame) -> None:
        self.frames.append(frame)
        self.filled.set()

    def cut(self) -> None:
        self._cut()
        self.scope.cancel()

    async def write(self) -> None:
        while True:
            if not self.frames:
                self.filled = trio.Event()
                await self.filled.wait()
            batch = [self.frames.popleft() for _ in range(min(len(self.frames), 64))]
            if self.server.mute:
                continue
            try:
                await self.link.send(join([encode(frame) for frame in batch]))
            except LinkClosed:
                self.scope.cancel()
                return
            self._count()
            for frame in batch:
                if isinstance(frame, Goodbye):
                    self.end(int(frame.code))
                    self.scope.cancel()

    async def read(self) -> None:
        try:
            while True:
                message = await self.link.receive()
                self._count()
                for raw_frame in split(message):
                    self.hear(decode_command(raw_frame))
        except BadFrame as bad:
            self.tell(Goodbye(Code.BAD_FRAME, bad.detail))
        except LinkClosed:
            self.scope.cancel()

    def _count(self) -> None:
        """Counts messages in both directions; at the scripted one the socket is cut."""
        if self.messages_left > 0:
            self.messages_left -= 1
            if self.messages_left == 0:
                self.cut()

    def hear(self, command: AnyCommand) -> None:
        server = self.server
        server.commands.append(command)
        match command:
            case Hello():
                self._greet(command)
            case Resume() if server.tickets is not None:
                self._resume(command)
            case Resume():
                self.tell(Goodbye(Code.BAD_FRAME, "tag 2 is not known"))
            case TakeTicket(id) if server.tickets is not None:
                ticket = b"ticket %d" % server.new_id()
                server.tickets[ticket] = (self.device, server.epoch)
                self.tell(Ticket(id, ticket, server.clock_s + 900))
            case TakeTicket(id):
                self.tell(Failed(id, Code.UNKNOWN, "tag 23 is not known"))
            case Mutate(number, operation):
                self.tell(server.decide(self.device, number, bytes(operation)))
            case Chunk(number):
                for at, change in enumerate(expand(command), number):
                    self.tell(server.decide(self.device, at, change) if isinstance(change, bytes) else Refused(at, Code.INVALID))
            case Follow(id, stream, after):
                self.follow(id, stream, after)
            case Unfollow(id, stream):
                self.following.discard(stream)
                self.tell(Granted(id))
            case Watch(id, space, _):
                self.tell(Granted(id))
                self.tell(Presence(space, len(server.conversations)))
            case Typing(stream):
                for other in server.conversations:
                    if other is not self and stream in other.following:
                        other.tell(IsTyping(stream, self.user))
            case Bye():
                self.end(int(Code.BYE))
                self.scope.cancel()
            case _:
                answer = server.records.answer(self.device, command) or server.answer(self.user, command)
                if answer is not None:
                    self.tell(answer)

    def _greet(self, hello: Hello) -> None:
        server = self.server
        server.greetings.append(hello)
        server.cursors = hello.cursors
        if server.goodbyes:
            self.tell(server.goodbyes.popleft())
            return
        if hello.device in server.fenced:
            self.tell(Goodbye(Code.REVOKED))
            return
        if server.tokens.get(hello.token) != hello.device:
            self.tell(Goodbye(Code.UNAUTHENTICATED))
            return
        self._attach(hello.device)
        self.tell(server.welcome(self.device))
        if hello.epoch in (0, server.epoch):
            for cursor in hello.cursors:
                self.follow(0, cursor.stream, cursor.seq)

    def _resume(self, resume: Resume) -> None:
        server = self.server
        assert server.tickets is not None
        server.resumes.append(resume)
        cursors = server.cursors = unpack(resume.cursors)
        if server.goodbyes:
            self.tell(server.goodbyes.popleft())
            return
        device, epoch = server.tickets.get(resume.ticket, (0, 0))
        if epoch != server.epoch:
            self.tell(Failed(0, Code.TICKET))
            return
        if device in server.fenced:
            self.tell(Goodbye(Code.REVOKED))
            return
        self._attach(device)
        ends = {stream: len(log) for stream, log in server.log.items() if stream not in server.forbidden}
        rest = tuple(place for place, cursor in enumerate(cursors) if cursor.seq != ends.get(cursor.stream))
        self.following |= {cursor.stream for place, cursor in enumerate(cursors) if place not in rest}
        clock_ms = (server.clock_s + 900) * 1000 - resume.left_ms
        self.tell(Resumed(server.devices[device].last_number, server.clock_s * 1000 - clock_ms, server.heartbeat_s, rest))
        for place in rest:
            self.follow(0, cursors[place].stream, cursors[place].seq)

    def _attach(self, device: int) -> None:
        """Takes the device over."""
        for other in list(self.server.conversations):
            if other.device == device:
                other.tell(Goodbye(Code.TAKEN_OVER))
        self.device, self.user = device, self.server.owners[device]
        self.server.conversations.add(self)

    def follow(self, id: int, stream: int, after: int) -> None:
        server = self.server
        code = server.forbidden.get(stream, Code.OK if stream in server.log else Code.NOT_FOUND)
        if code is not Code.OK:
            self.tell(Failed(id, code, stream=stream))
            return
        if after < server.floors.get(stream, 0):
            self.tell(Failed(id, Code.RESET, stream=stream))
            return
        missed = server.log[stream][after:]
        for event in missed[:PAGE]:
            if not server.lose(event):
                self.tell(event)
        live = len(missed) <= PAGE
        if live:
            self.following.add(stream)
        self.tell(Followed(id, stream, min(after + PAGE, len(server.log[stream])) if missed else after, live))

    def drain(self, delay_ms: int) -> None:
        self.tell(Draining(delay_ms))


def rewrite(log: list[Event], change: e.AnyBody) -> None:
    """What a change does to the rows that stand in the log already."""
    if isinstance(change, e.Cleared):
        authors = {event.seq: event.author for event in log if isinstance(event.body, e.Said | e.Posted)}
        for index, event in enumerate(log):
            about = event.body.target if isinstance(event.body, e.Edited) else event.seq
            text = isinstance(event.body, e.Said | e.Posted | e.Edited)
            if text and event.seq <= change.upto and change.author in (0, authors.get(about)):
                log[index] = Event(event.stream, event.seq, event.author, event.at, e.Redacted())
        return
    for index, event in enumerate(log):
        match change, event.body:
            case e.Edited(target, text), e.Said() | e.Posted() if event.seq == target:
                reply_to, mentions = (event.body.reply_to, event.body.mentions) if isinstance(event.body, e.Posted) else (0, ())
                log[index] = Event(event.stream, event.seq, event.author, event.at, e.Posted(text, reply_to, mentions, True))
            case e.Deleted(target), e.Said() | e.Posted() if event.seq == target:
                log[index] = Event(event.stream, event.seq, event.author, event.at, e.Redacted())
            case e.Deleted(target), e.Edited(target=edited) if edited == target:
                log[index] = Event(event.stream, event.seq, event.author, event.at, e.Redacted())
            case _:
                pass
