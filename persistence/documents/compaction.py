"""Keeping documents small: the job `document.compact`. The server opens nothing itself; the sandbox does, and may be killed over it.

    sources ─▶ sandbox ─▶ a state ─▶ stored, if nothing moved meanwhile
                  ╰─ killed, out of time or memory ─▶ halves ─▶ the one that does it ─▶ set aside, named ─▶ again

An update that cannot be applied (the sandbox names it) or that kills who tries (found by bisection) is set aside: it stays in the log,
where it was acknowledged, and is no part of the document any more. The others go on.

Invariant: a document is never left without a state that can be loaded: what cannot be made leaves the one before.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
import structlog

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
COMPACT_S: Final = 20.0
"""20 MB of updates take a second or two."""
PROBE_S: Final = 4.0
"""Of a part of them, when it is looked for which one does it."""
MEMORY_MIB: Final = 768
ANSWER_BYTES_MAX: Final = 4 * STATE_BYTES_MAX
"""A document that is full may still be deleted from, and what is in it is kept."""
CULPRITS_MAX: Final = 8
"""Of updates that kill who applies them, in one run: each takes a dozen processes to find."""
ROUNDS_MAX: Final = 8
_ANSWER: Final = msgspec.msgpack.Decoder(tuple[bytes, list[int]])


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
        for _ in range(ROUNDS_MAX):
            sources = await self._bridge.run(
                partial(read_sources, stream=order.stream, version=order.version), deadline_s=CALL_S, isolation="snapshot", readonly=True
            )
            if sources is None or (not sources.updates and len(sources.base) <= 1 and sources.upto == sources.until):
                return
            made = await self._make(order.stream, sources)
            stored, facts = await self._bridge.run(
                partial(store, stream=order.stream, version=order.version, sources=sources, made=made), deadline_s=CALL_S
            )
            if facts:
                self._herald.committed(facts)
            work.report(len(sources.seqs), len(sources.seqs), f"{len(made.update)} bytes")
            if stored and sources.reach == sources.until:
                return

    async def _make(self, stream: int, sources: Sources) -> Made:
        """One state of them all, but for those that are set aside."""
        names: dict[int, str] = {}
        left = [(0, update) for update in sources.base] + list(zip(sources.seqs, sources.updates, strict=True))
        answer: tuple[bytes, list[int]] | None = None
        while answer is None:
            try:
                answer = await self._try([update for _, update in left], COMPACT_S)
            except SandboxFailed as failed:
                if len(names) >= CULPRITS_MAX:
                    raise Hopeless(f"more than {CULPRITS_MAX} updates stop whoever applies them") from failed
                place = await self._culprit([update for _, update in left])
                seq = left[place][0]
                if seq == 0:
                    raise Hopeless(f"the state itself cannot be opened: {failed}") from failed
                names[seq] = str(failed)
                del left[place]
        made, faulty = answer
        names.update((left[place][0], "cannot be applied") for place in faulty if left[place][0])
        for seq, words in sorted(names.items()):
            log.warning("document_update_quarantined", stream=stream, seq=seq, reason=words)
        return Made(made, tuple(sorted(names.items())))

    async def _culprit(self, updates: list[bytes]) -> int:
        """The place of the first update with which it cannot be done: without it and what follows, it can."""
        fine, fails = 0, len(updates)
        while fails - fine > 1:
            middle = (fine + fails) // 2
            try:
                await self._try(updates[:middle], PROBE_S)
                fine = middle
            except SandboxFailed:
                fails = middle
        return fails - 1

    async def _try(self, updates: list[bytes], seconds: float) -> tuple[bytes, list[int]]:
        answer = await self._sandbox(
            TASK, msgspec.msgpack.encode(updates), seconds=seconds, memory_mib=MEMORY_MIB, answer_max=ANSWER_BYTES_MAX
        )
        try:
            return _ANSWER.decode(answer)
        except msgspec.MsgspecError as error:
            raise SandboxFailed(Why.KILLED, f"it answered what is no answer: {error}") from error
