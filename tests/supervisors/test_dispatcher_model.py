"""The dispatcher's core against a model: whatever is told in whatever order, the model knows what each actor may see next."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.cell import Ref
from actors.inbox import InboxSpec
from tests.supervisors.stage import Act, Player, Scripted, Stage, crash

KEYS = ("ann", "ben", "eve")
keys = st.sampled_from(KEYS)

PASSIVATE_AFTER_S = 10.0
ITEMS_MAX = 4
TURN_MAX = 3


class DispatcherAgainstModel(RuleBasedStateMachine):
    """Per actor: two lists of numbers in the order they were told. A receive must take the head of control, else of bulk.

    An actor's deeds (crash, stop, tell, set a timer) change the model in the same breath, so that the model follows every
    interleaving without having to predict it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.stage.on_stopped = self.on_stopped
        self.stage.on_build = lambda key, context: self.crash_in_factory(key)
        self.pool = self.stage.pool(
            inbox=InboxSpec(items_max=ITEMS_MAX),
            intensity=10**6,
            pool_intensity=10**6,
            passivate_after_s=PASSIVATE_AFTER_S,
            turn_max=TURN_MAX,
        )
        self.control: dict[str, list[int]] = {key: [] for key in KEYS}
        self.bulk: dict[str, list[int]] = {key: [] for key in KEYS}
        self.timers: dict[str, list[tuple[float, int]]] = {key: [] for key in KEYS}
        self.refs: list[tuple[str, Ref[Act]]] = []
        self.ended: list[object] = []  # references that are dead, because an actor stopped behind them
        self.broken_factories: Counter[str] = Counter()
        self.count = 0
        self.expected: Counter[str] = Counter()

    # What the world does.

    @rule(key=keys)
    def get(self, key: str) -> None:
        self.refs.append((key, self.pool.get(key)))

    @rule(data=st.data(), deed=st.sampled_from(["note", "note", "crash", "stop", "timer", "itself", "other"]))
    def tell(self, data: st.DataObject, deed: str) -> None:
        self.send(data, deed, control=False)

    @rule(data=st.data(), deed=st.sampled_from(["note", "crash", "stop", "timer"]))
    def tell_control(self, data: st.DataObject, deed: str) -> None:
        self.send(data, deed, control=True)

    @rule(key=keys)
    def break_factory_once(self, key: str) -> None:
        self.broken_factories[key] = 1

    @rule(budget=st.integers(0, 10))
    def run_ready(self, budget: int) -> None:
        left = self.stage.turns.run_ready(budget)
        assert left > -TURN_MAX
        assert left <= 0 or not self.stage.turns.ready

    @rule(seconds=st.floats(0, 2 * PASSIVATE_AFTER_S))
    def advance(self, seconds: float) -> None:
        self.stage.time_s += seconds
        now_s = self.stage.time_s
        due = sorted((due_s, number, key) for key, timers in self.timers.items() for due_s, number in timers if due_s <= now_s)
        for _, number, key in due:
            self.control[key].append(number)
            self.timers[key] = [timer for timer in self.timers[key] if timer[1] != number]
        self.stage.may_leave = lambda key: not self.timers[key]
        self.stage.turns.advance()

    # What is expected of it.

    def send(self, data: st.DataObject, deed: str, control: bool) -> None:
        if not self.refs:
            return
        key, ref = data.draw(st.sampled_from(self.refs))
        self.tell_as_modelled(key, ref, deed, control)

    def tell_as_modelled(self, key: str, ref: Ref[Act], deed: str, control: bool) -> None:
        self.count += 1
        number = self.count
        act = Act(number, lambda player: self.act(player, number, deed))
        self.expected["told"] += 1
        if any(ref is ended for ended in self.ended):
            self.expected["dead"] += 1
            accepted = False
        elif control:
            self.control[key].append(number)
            accepted = True
        elif len(self.bulk[key]) < ITEMS_MAX:
            self.bulk[key].append(number)
            accepted = True
        else:
            self.expected["dropped"] += 1
            accepted = False
        if control:
            ref.tell_control(act)
        else:
            assert ref.tell(act) is accepted

    def act(self, player: Player, number: int, deed: str) -> None:
        key = player.key
        lane = self.control[key] or self.bulk[key]
        assert lane.pop(0) == number, "out of order, or out of nowhere"
        match deed:
            case "crash":
                self.expected["failed"] += 1
                crash(player)
            case "stop":
                self.ended.append(player.context)
                self.expected["dead"] += len(self.control[key]) + len(self.bulk[key])
                self.control[key], self.bulk[key] = [], []
                player.context.stop()
            case "timer":
                self.count += 1
                ring = self.count
                self.timers[key].append((player.context.now() + ring % 5, ring))
                player.context.after(ring % 5, Act(ring, lambda player: self.act(player, ring, "note")))
            case "itself":
                self.tell_as_modelled(key, player.context.self, "note", control=False)
            case "other":
                other = KEYS[(KEYS.index(key) + 1) % len(KEYS)]
                self.tell_as_modelled(other, self.pool.get(other), "note", control=False)
        self.expected["handled"] += 1

    def on_stopped(self, key: str) -> None:
        self.timers[key] = []

    def crash_in_factory(self, key: str) -> None:
        if self.broken_factories[key]:
            self.broken_factories[key] = 0
            self.timers[key] = []
            raise Scripted("the factory is broken")

    @invariant()
    def nothing_else_went_wrong(self) -> None:
        self.stage.check()

    @invariant()
    def accounts_for_every_message(self) -> None:
        counts, drops = self.pool.counts, self.pool.drops
        waiting = sum(self.pool.depth(key) for key in KEYS)
        assert waiting == sum(len(self.bulk[key]) + len(self.control[key]) for key in KEYS)
        assert counts.told == counts.handled + counts.failed + counts.dead_letters + drops.total() + waiting
        assert counts.handled == self.expected["handled"]
        assert counts.failed == self.expected["failed"]
        assert counts.dead_letters == self.expected["dead"]
        assert drops.over_items == drops.total() == self.expected["dropped"]

    @invariant()
    def knows_its_timers(self) -> None:
        assert len(self.stage.turns.alarms) == sum(map(len, self.timers.values()))

    def teardown(self) -> None:
        while self.stage.turns.ready:
            self.stage.turns.run_ready(100)
        self.stage.check()
        assert not any(self.bulk.values())
        assert not any(self.control.values())
        self.stage.turns.reset()
        assert not self.stage.players, "somebody was never told that it stopped"


TestDispatcherAgainstModel = DispatcherAgainstModel.TestCase
TestDispatcherAgainstModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
