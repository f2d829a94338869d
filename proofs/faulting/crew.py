"""A process full of devices: they talk by themselves, obey a few orders, and compare their copies with the truth that they are shown.

    Order(enter=…) ─▶ devices live      talk ─▶ posts, by chance, at a rate       look ─▶ how many are online, what is open, what was said
    Order(truth=…) ─▶ every copy against the log: behind, differing, and how late each event came

Invariant: a crew judges its copies by nothing but what it received and the truth it is shown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import Protocol

import httpx
import trio
from msgspec import Struct, field

from client import Account, Credentials
from client.account import TIMEOUT_S, Login
from proofs.faulting.copies import Arrival, Copy, Diary, Post
from proofs.faulting.light import LightDevice
from proofs.faulting.real import RealDevice
from proofs.faulting.steering import serve
from proofs.rehearsal.device import Badge
from supervisors.process import set_up_log

SHOWN_MAX = 10
LONG_TEXT = "the answer is on the next page " * 120


class Member(Struct, frozen=True):
    """One device to be."""

    real: bool
    login: Login
    streams: tuple[int, ...]
    channels: tuple[int, ...]


class Entry(Struct, frozen=True):
    """Who comes in, and where the gateways are. `first_number`: of the posts that this crew will say."""

    members: tuple[Member, ...]
    places: tuple[tuple[str, int], ...]
    heartbeat_s: int
    seed: int
    first_number: int


class Truth(Struct, frozen=True):
    """What Postgres has of one stream from `first` on, and when each was acknowledged to its author (0: unknown)."""

    stream: int
    first: int
    digests: list[int]
    acknowledged: list[float]


class Window(Struct, frozen=True):
    """A time in which nothing is promised of what comes over gateway `gateway` (-1: of any)."""

    gateway: int
    begin: float
    end: float


class Order(Struct, frozen=True):
    """One thing to do; see the module. `heads`: where every stream ends, to be told who is behind. `flood`: the one stream in which all is
    said from now on, at length; 0: any. `spans`: times, for each of which the latencies of its events are told apart."""

    enter: Entry | None = None
    talk_per_s: float | None = None
    flood: int | None = None
    look: bool = False
    heads: dict[int, int] | None = None
    truth: tuple[Truth, ...] | None = None
    windows: tuple[Window, ...] = ()
    spans: tuple[tuple[float, float], ...] = ()
    deaf_s: float = 0.0
    act: str = ""
    devices: tuple[int, ...] = ()
    value: float = 0.0


class Late(Struct, frozen=True):
    """An event that came later than a gateway may be deaf."""

    device: int
    stream: int
    seq: int
    gateway: int
    late_s: float


class Answer(Struct):
    """What the order asks for; the rest stays empty. `offline`, `open_devices`: some of the devices that are, or have posts open."""

    members: int = 0
    online: int = 0
    offline: list[int] = field(default_factory=list)
    open_posts: int = 0
    open_devices: list[int] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    """Sockets, by gateway."""
    behind: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Device, stream, how many events it has, how many there are."""
    behind_count: int = 0
    differing: list[str] = field(default_factory=list)
    compared: int = 0
    late: list[Late] = field(default_factory=list)
    latencies_ms: list[int] = field(default_factory=list)
    """From the acknowledgement to arriving, unsorted."""
    spans_ms: list[list[int]] = field(default_factory=list)
    lags: int = 0
    stories: list[str] = field(default_factory=list)


class Device(Protocol):
    """What light and real devices have in common."""

    copies: dict[int, Copy]
    faults: list[str]
    clock_offset_s: float
    diary: Diary
    lags: int

    @property
    def device(self) -> int: ...
    @property
    def badge(self) -> Badge: ...
    @property
    def place(self) -> int: ...
    @property
    def online(self) -> bool: ...
    @property
    def open_posts(self) -> int: ...
    @property
    def ends(self) -> dict[int, int]: ...
    def say(self, post: Post) -> None: ...
    def stall(self) -> None: ...
    def go_on(self) -> None: ...
    def drop(self) -> None: ...
    def stop(self) -> None: ...
    async def live(self) -> None: ...


class Crew:
    """See the module."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._devices: dict[int, Device] = {}
        self._channels: dict[int, tuple[int, ...]] = {}
        self._talkers: list[int] = []
        self._chance = Random()
        self._number = 0
        self._rate_per_s = 0.0
        self._flood = 0
        self._rate_changed = trio.Event()
        self._untold: list[Post] = []
        self._stalled: set[int] = set()
        self._transport = httpx.AsyncHTTPTransport(verify=False)

    async def obey(self, order: Order) -> Answer:
        answer = Answer()
        if order.enter is not None:
            self._enter(order.enter)
        if order.flood is not None:
            self._flood = order.flood
        if order.talk_per_s is not None:
            self._rate_per_s = order.talk_per_s
            self._rate_changed.set()
        if order.act:
            await self._act(order, answer)
        if order.look:
            self._look(answer)
        if order.heads is not None:
            self._find_behind(order.heads, answer)
        if order.truth is not None:
            self._compare(order, answer)
        return answer

    def _enter(self, entry: Entry) -> None:
        self._chance = Random(entry.seed)
        self._number = entry.first_number
        for member in entry.members:
            chance = Random(self._chance.random())
            badge = self._badge(member, entry.places, chance)
            kind = RealDevice if member.real else LightDevice
            device: Device = kind(badge, entry.places, member.streams, entry.heartbeat_s, chance)
            self._devices[badge.device] = device
            self._channels[badge.device] = member.channels
            self._nursery.start_soon(device.live)
        self._talkers = [device for device, channels in self._channels.items() if channels]
        self._nursery.start_soon(self._talk)

    def _badge(self, member: Member, places: Sequence[tuple[str, int]], chance: Random) -> Badge:
        def account() -> Account:
            host, port = chance.choice(places)
            return Account(f"http://{host}:{port}", httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False))

        return Badge(Credentials(account(), member.login), account)

    async def _talk(self) -> None:
        """By the clock, so that a busy machine does not talk less."""
        moment = trio.current_time()
        while True:
            if not self._rate_per_s:
                self._rate_changed = trio.Event()
                await self._rate_changed.wait()
                moment = trio.current_time()
                continue
            moment += self._chance.expovariate(self._rate_per_s)
            if moment > trio.current_time():
                await trio.sleep_until(moment)
            if self._rate_per_s:
                self.say_something()

    def say_something(self) -> None:
        talkers = [number for number in self._talkers if self._flood in self._channels[number]] if self._flood else self._talkers
        if not talkers:
            return
        number = self._chance.choice(talkers)
        device = self._devices[number]
        stream = self._flood or self._chance.choice(self._channels[number])
        text = f"{self._number}: said by {number}"
        if self._flood:
            text = f"{text} {LONG_TEXT}"[:4000]
        post = Post(self._number, number, device.badge.user, stream, text, time.monotonic(), device.place)
        self._number += 1
        self._untold.append(post)
        device.say(post)

    async def _act(self, order: Order, answer: Answer) -> None:
        chosen = [self._devices[number] for number in order.devices if number in self._devices] or list(self._devices.values())
        for device in chosen:
            match order.act:
                case "stall":
                    device.stall()
                    self._stalled.add(device.device)
                case "go_on":
                    device.go_on()
                case "drop":
                    device.drop()
                case "clock":
                    device.clock_offset_s = order.value
                case "story":
                    if device.device in order.devices:
                        lines = "; ".join(device.diary.since(order.value))
                        answer.stories.append(f"device {device.device} ({type(device).__name__}): {lines}")
                case "lags":
                    answer.lags += device.lags
                case "stop":
                    device.stop()
                case _:
                    raise AssertionError(order.act)
        await trio.lowlevel.checkpoint()

    def _look(self, answer: Answer) -> None:
        answer.members = len(self._devices)
        for device in self._devices.values():
            answer.online += device.online
            answer.open_posts += device.open_posts
            if device.open_posts and len(answer.open_devices) < SHOWN_MAX:
                answer.open_devices.append(device.device)
            if not device.online and len(answer.offline) < SHOWN_MAX:
                answer.offline.append(device.device)
            answer.faults += [f"device {device.device}: {fault}" for fault in device.faults]
            device.faults.clear()
            if device.place >= 0:
                answer.places[device.place] = answer.places.get(device.place, 0) + 1
            for code, count in device.ends.items():
                answer.ends[code] = answer.ends.get(code, 0) + count
        told = [post for post in self._untold if post.seq or post.refusal]
        self._untold = [post for post in self._untold if not (post.seq or post.refusal)]
        answer.posts = told

    def _find_behind(self, heads: dict[int, int], answer: Answer) -> None:
        for number, device in self._devices.items():
            for stream, copy in device.copies.items():
                have, head = len(copy.digests), heads.get(stream, 0)
                if have < head:
                    answer.behind_count += 1
                    if len(answer.behind) < SHOWN_MAX:
                        answer.behind.append((number, stream, have, head))

    def _compare(self, order: Order, answer: Answer) -> None:
        assert order.truth is not None
        by_stream = {truth.stream: truth for truth in order.truth}
        answer.spans_ms = [[] for _ in order.spans]
        for number, device in self._devices.items():
            for stream, copy in device.copies.items():
                arrivals = copy.take()
                truth = by_stream.get(stream)
                if truth is None:
                    if arrivals:
                        answer.differing.append(f"device {number} was told {len(arrivals)} events of stream {stream}, where none happened")
                    continue
                answer.compared += 1
                mine = copy.digests[truth.first - 1 :].tolist()
                if mine != truth.digests:
                    answer.differing.append(_difference(number, stream, truth, mine))
                if number not in self._stalled:
                    self._judge_arrivals(number, stream, truth, arrivals, order, answer)
        self._stalled.clear()
        del answer.differing[SHOWN_MAX:]

    def _judge_arrivals(self, number: int, stream: int, truth: Truth, arrivals: Sequence[Arrival], order: Order, answer: Answer) -> None:
        for arrival in arrivals:
            place = arrival.seq - truth.first
            acknowledged = truth.acknowledged[place] if 0 <= place < len(truth.acknowledged) else 0.0
            if not acknowledged:
                continue
            latency_ms = int(1000 * max(0.0, arrival.at - acknowledged))
            answer.latencies_ms.append(latency_ms)
            for span, (begin, end) in zip(answer.spans_ms, order.spans, strict=True):
                if begin <= acknowledged < end:
                    span.append(latency_ms)
            late_s = lateness_s(acknowledged, arrival, order.windows)
            if order.deaf_s and late_s > order.deaf_s and len(answer.late) < SHOWN_MAX:
                answer.late.append(Late(number, stream, arrival.seq, arrival.gateway, round(late_s, 1)))


def lateness_s(acknowledged: float, arrival: Arrival, windows: Sequence[Window]) -> float:
    """How late an event came, counted from when it was acknowledged, from the opening of the socket that brought it, or from the end of the
    last fault on its way: whatever was last."""
    ready = max(acknowledged, arrival.open_since)
    for window in sorted(windows, key=lambda window: window.begin):
        if window.gateway in (-1, arrival.gateway) and window.begin <= arrival.at and window.end >= ready:
            ready = max(ready, window.end)
    return arrival.at - ready


def _difference(device: int, stream: int, truth: Truth, mine: Sequence[int]) -> str:
    what = f"device {device}, stream {stream}: {truth.first - 1 + len(mine)} events, Postgres has {truth.first - 1 + len(truth.digests)}"
    for place, (ours, theirs) in enumerate(zip(mine, truth.digests, strict=False)):
        if ours != theirs:
            return f"{what}; event {truth.first + place} is another one"
    return what


async def main() -> None:
    set_up_log("error", "console")
    async with trio.open_nursery() as nursery:
        await serve(Order, Crew(nursery).obey)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
