"""The door over HTTP in the simulated world: the gateway's own code for a visit, run to its end at one moment of simulated time.

    device ─Sync, mutations again, questions─▶ Borrow ·· some time ·· Visit.run ·· some time ·· answer, or none

Between borrowing and carrying out a socket may take the device over; between that and the answer the line may go.
"""

from __future__ import annotations

import trio
from trio.testing import MockClock

from actors.cell import Ref
from actors.storage import Answered, Attached, Borrow, Decided, Entry, Query
from client.parcels import wrap
from gateway.sync_visit import AnyStep, Visit, Visitor
from proofs.simulation.database import Database
from proofs.simulation.device import SimulatedDevice
from proofs.simulation.faults import Faults
from proofs.simulation.gateway import SimulatedGateway
from proofs.simulation.life import Life
from proofs.simulation.notebook import ANSWERS
from proofs.simulation.telling import describe_frame
from proofs.simulation.world import Violation, World
from protocol.codec import decode_command, decode_frame
from protocol.frames import Event, Failed, Follow, Frame, Goodbye, Refresh, Sync, Typing, Welcome

FAR_S = 5.0
"""Longest way of a request, or of its answer."""
MUTATIONS_MAX = 20


class Moment:
    """Journal and store of one visit: everything is decided now, or its answer never comes."""

    def __init__(self, world: World, faults: Faults, database: Database, gateway: SimulatedGateway) -> None:
        self._world = world
        self._faults = faults
        self._database = database
        self._gateway = gateway

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        world, faults = self._world, self._faults
        if world.now < faults.stalled_until_s or world.happens(faults.journal_refuses):
            return False
        decided, facts = self._database.append([entry], int(world.wall()))
        if self._gateway.up:
            self._gateway.exchange.committed(facts)
        if not world.happens(faults.journal_unsure):
            reply_to.tell_control(decided[0])
        return True

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        if not self._world.happens(self._faults.store_away):
            reply_to.tell_control(Answered(ticket, self._database.query(query, self._world.wall())))


class Visits:
    """See the module."""

    def __init__(self, world: World, faults: Faults, database: Database, life: Life) -> None:
        self._world = world
        self._faults = faults
        self._database = database
        self._life = life
        self.count = 0

    def begin(self, device: SimulatedDevice, gateway: SimulatedGateway) -> None:
        """A request sets out."""
        world = self._world
        numbered = [entry for entry in device.notebook.ledger.entries() if entry.number][:MUTATIONS_MAX]
        steps: list[AnyStep] = [decode_command(frame) for frame in wrap(numbered)]  # type: ignore[misc]
        question = self._life.question(device)
        if not isinstance(question, Typing):
            steps.append(question)
        stream = world.chance.choice(self._life.readable(device.user))
        steps += [Follow(1, stream, 0), Refresh(2, "here")]
        ledger, restored = device.notebook.ledger, self._database.tables.epoch
        sync = Sync(device.session.epoch, schema=device.habits.schema)
        what = f"POST /sync with {len(numbered)} mutations, {type(question).__name__}"
        world.tell_sent(device.column, gateway.column, what, streams=(stream,), sent_s=world.now)

        def arrive() -> None:
            attached = self._database.query(Borrow(device.row.session, device.user, device.id), world.wall())
            if gateway.up and isinstance(attached, Attached):
                world.after(world.between(0.0, FAR_S), lambda: carry_out(attached))

        def carry_out(attached: Attached) -> None:
            if not gateway.up or self._database.tables.epoch != restored:
                return
            self.count += 1
            answer = self._run(device, gateway, attached, sync, steps)
            gateway.pump()
            if not world.happens(self._faults.link_drop):
                world.after(world.between(0.0, FAR_S), lambda: hear(answer))

        def hear(answer: list[Frame]) -> None:
            if self._database.tables.epoch != restored or device.notebook.ledger is not ledger:
                return
            if world.story is not None:
                said = ", ".join(describe_frame(frame, set()) for frame in answer[:8])
                world.tell_sent(gateway.column, device.column, f"answers {said}", sent_s=world.now)
            for frame in answer:
                self._hear(device, frame)
            # What was settled here may have been all that the socket's window was full of.
            device.send_due()

        world.after(world.between(0.0, FAR_S), arrive)

    def _run(self, device: SimulatedDevice, gateway: SimulatedGateway, attached: Attached, sync: Sync, steps: list[AnyStep]) -> list[Frame]:
        world = self._world
        visitor = Visitor(device.user, device.id, device.row.session, attached, sync, 0, int(world.wall()) + 900)
        moment = Moment(world, self._faults, self._database, gateway)

        async def run() -> list[bytes]:
            visit = Visit(visitor, moment, moment, gateway.exchange.overtake, world.wall, trio.current_time() + 1.0)
            return await visit.run(steps)

        return [frame for raw in trio.run(run, clock=MockClock(autojump_threshold=0)) if isinstance(frame := decode_frame(raw), Frame)]

    def _hear(self, device: SimulatedDevice, frame: Frame) -> None:
        """Outcomes count like those of the socket; what was read is only looked at."""
        device.count(frame)
        match frame:
            case Event():
                row = self._database.rows(frame.stream)[frame.seq - 1]
                if row.author != frame.author:
                    raise Violation(
                        f"{device.name} was answered event {frame.seq} of another author", device=device.id, stream=frame.stream
                    )
            case Welcome() | Goodbye() | Failed():
                pass
            case _ if isinstance(frame, ANSWERS):
                pass
            case _:
                device.hear_outcome(frame)
