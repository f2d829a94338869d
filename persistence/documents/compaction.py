"""Keeping documents small: the job `document.compact`. The server opens nothing itself; the sandbox does, and may be killed over it.

    sources ─▶ sandbox ─▶ a state ─▶ stored, if nothing moved meanwhile
                  ╰─ killed, out of time or memory ─▶ halves ─▶ the one that does it ─▶ set aside, named ─▶ again

An update that cannot be applied (the sandbox names it) or that kills who tries (found by bisection) is set aside: it stays in the log,
where it was acknowledged, and is no part of the document any more. So is what refers to it, or it would wait in every reader, unseen, and
be in no state. The others go on.

Invariant: a document is never left without a state that can be loaded: what cannot be made leaves the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from actors.documents import Compact
from actors.jobs import Hopeless, Work
from actors.sandbox_port import Sandbox, SandboxFailed, Why
from actors.storage import Herald
from persistence.bridge import Bridge
from persistence.documents.states import Made, Sources, read_sources, store
from protocol.documents import STATE_BYTES_MAX

log = structlog.get_logger()

JOB: Final = "document.compact"
TASK: Final = "documents.compact"
CALL_S: Final = 30.0
REFERS_WORDS: Final = "cannot be applied, or refers to what is not there"
COMPACT_S: Final = 40.0
"""8 MB of updates take a second or two; of the smallest there can be, ten."""
PROBE_S: Final = 8.0
"""Of a part of them, when it is looked for which one does it."""
MEMORY_MIB: Final = 768
ANSWER_BYTES_MAX: Final = 4 * STATE_BYTES_MAX
"""A document that is full may still be deleted from, and what is in it is kept."""
CULPRITS_MAX: Final = 8
"""Of updates that kill who applies them, in one run: each takes a dozen processes to find."""
ROUNDS_MAX: Final = 8


class Answer(Struct, frozen=True, array_like=True):
    """What the sandbox made: the state as one update, the places of what is no part of it, how far each pen is in it."""

    state: bytes
    faulty: list[int]
    vector: bytes


_ANSWER: Final = msgspec.msgpack.Decoder(Answer)


class Compactor:
    """Runs the job."""

    def __init__(self, bridge: Bridge, herald: Herald, sandbox: Sandbox) -> None:
        self._bridge = bridge
        self._herald = herald
        self._sandbox = sandbox

    async def run(self, work: Work[Compact]) -> None:
        """Brings the state to what there is now, or a version's to where it was named. Raises `StorageError`; `Hopeless` where no state can
        be made of the base alone."""
        order = work.payload
        for turn in range(ROUNDS_MAX):
            sources = await self._bridge.run(
                partial(read_sources, stream=order.stream, version=order.version), deadline_s=CALL_S, isolation="snapshot", readonly=True
            )
            if sources is None or (
                not sources.updates and sources.known and len(sources.base) <= 1 and (turn or sources.upto == sources.until)
            ):
                return
            made = await self._make(order.stream, sources)
            stored, facts = await self._bridge.run(
                partial(store, stream=order.stream, version=order.version, sources=sources, made=made), deadline_s=CALL_S
            )
            if facts:
                self._herald.committed(facts)
            work.report(len(sources.seqs), len(sources.seqs), f"{len(made.update)} bytes")
            # What came while something was set aside may refer to that.
            if stored and sources.reach == sources.until and not made.set_aside:
                return

    async def _make(self, stream: int, sources: Sources) -> Made:
        """One state of them all, but for those that are set aside."""
        names: dict[int, str] = {}
        left = list(zip(sources.seqs, sources.updates, strict=True))
        answer: Answer | None = None
        while answer is None:
            try:
                answer = await self._try(sources.base, [update for _, update in left], COMPACT_S)
            except SandboxFailed as failed:
                if len(names) >= CULPRITS_MAX:
                    raise Hopeless(f"more than {CULPRITS_MAX} updates stop whoever applies them") from failed
                place = await self._culprit(sources.base, [update for _, update in left])
                if place is None:
                    raise Hopeless(f"the state itself cannot be opened: {failed}") from failed
                names[left[place][0]] = str(failed)
                del left[place]
        names.update((left[place][0], REFERS_WORDS) for place in answer.faulty)
        for seq, words in sorted(names.items()):
            log.warning("document_update_quarantined", stream=stream, seq=seq, reason=words)
        return Made(answer.state, answer.vector, tuple(sorted(names.items())))

    async def _culprit(self, base: Sequence[bytes], updates: list[bytes]) -> int | None:
        """The place of the first update with which it cannot be done: without it and what follows, it can. None: it is the base."""
        try:
            await self._try(base, [], PROBE_S)
        except SandboxFailed:
            return None
        fine, fails = 0, len(updates)
        while fails - fine > 1:
            middle = (fine + fails) // 2
            try:
                await self._try(base, updates[:middle], PROBE_S)
                fine = middle
            except SandboxFailed:
                fails = middle
        return fails - 1

    async def _try(self, base: Sequence[bytes], updates: list[bytes], seconds: float) -> Answer:
        answer = await self._sandbox(
            TASK, msgspec.msgpack.encode((base, updates)), seconds=seconds, memory_mib=MEMORY_MIB, answer_max=ANSWER_BYTES_MAX
        )
        try:
            return _ANSWER.decode(answer)
        except msgspec.MsgspecError as error:
            raise SandboxFailed(Why.KILLED, f"it answered what is no answer: {error}") from error
