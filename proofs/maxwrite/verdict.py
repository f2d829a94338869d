"""Is a history one that a maximum can have? Pure.

convergence   everybody ends with the same versions and values, and the value is the greatest that was ever written
atomicity     each write that took effect is one record in one event, as it was written, under the version it was told
causal order  a write stands behind everything its writer had seen; nobody sees a lesson fall
liveness      every write has an outcome, and no queue is stuck
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from proofs.maxwrite.history import History, Write
from protocol.merge import Outcome

WRITTEN = (Outcome.APPLIED, Outcome.MERGED)


def judge(history: History) -> list[str]:
    """Everything that is wrong with a history; empty if nothing is."""
    return [
        *_liveness(history),
        *_convergence(history),
        *_order(history),
        *_effects(history),
    ]


def _liveness(history: History) -> Iterator[str]:
    if history.open:
        yield f"stuck: {history.open} mutations have no outcome {history.healed_s:.0f} s after everything was healed"
    for write in history.writes:
        if write.refusal:
            yield f"refused: {write.percent} % of lesson {write.lesson} by device {write.device}: {write.refusal}"
        elif write.outcome is None and not history.open:
            yield f"lost: {write.percent} % of lesson {write.lesson} by device {write.device} has no outcome"
    yield from history.faults


def _convergence(history: History) -> Iterator[str]:
    greatest: dict[int, int] = {}
    for write in history.writes:
        greatest[write.lesson] = max(greatest.get(write.lesson, 0), write.percent)
    versions: defaultdict[int, set[int]] = defaultdict(set)
    for final in history.finals:
        versions[final.lesson].add(final.version)
        if final.percent != greatest.get(final.lesson):
            most = greatest.get(final.lesson)
            yield f"diverged: {final.holder} ends at {final.percent} % of lesson {final.lesson}; the greatest is {most} %"
    for lesson, seen in versions.items():
        if len(seen) > 1:
            yield f"diverged: lesson {lesson} ends in versions {sorted(seen)}"
    held = {(final.holder, final.lesson) for final in history.finals}
    holders = {final.holder for final in history.finals}
    for holder in holders:
        for lesson in greatest:
            if (holder, lesson) not in held:
                yield f"diverged: {holder} does not know lesson {lesson}"
    copies = list(history.told.values())
    for device, told in history.told.items():
        if told != copies[0]:
            yield f"diverged: device {device} was told {len(told)} records, another {len(copies[0])}, or in another order"


def _order(history: History) -> Iterator[str]:
    for device, told in history.told.items():
        version: dict[int, int] = {}
        percent: dict[int, int] = {}
        for one in told:
            if one.version <= version.get(one.lesson, 0):
                yield f"order: device {device} saw version {one.version} of lesson {one.lesson} after {version.get(one.lesson, 0)}"
            version[one.lesson] = one.version
            if one.percent is not None:
                if one.percent < percent.get(one.lesson, -1):
                    yield f"fell: device {device} saw lesson {one.lesson} at {one.percent} % after {percent[one.lesson]} %"
                percent[one.lesson] = one.percent


def _effects(history: History) -> Iterator[str]:
    """Writes of one batch may be told as one record, with the last one's version: what it says is then what its last write said."""
    by_version: defaultdict[int, dict[int, Write]] = defaultdict(dict)
    for write in history.writes:
        if write.outcome in WRITTEN and by_version[write.lesson].setdefault(write.version, write) is not write:
            yield f"doubled: two writes were told version {write.version} of lesson {write.lesson}"
    for lesson, writes in by_version.items():
        highest = 0
        for version in sorted(writes):
            if writes[version].percent < highest:
                yield f"fell: version {version} of lesson {lesson} was written at {writes[version].percent} % over {highest} %"
            highest = max(highest, writes[version].percent)
    told = next(iter(history.told.values()), [])
    marks = {(write.mark, write.lesson) for write in history.writes}
    before: dict[int, int] = {}
    standing: dict[int, int] = {}
    for one in told:
        covered = [write for version, write in by_version[one.lesson].items() if before.get(one.lesson, 0) < version <= one.version]
        before[one.lesson] = one.version
        last = max(covered, key=lambda write: write.version, default=None)
        if one.percent is not None and last is None and not history.open:
            yield f"doubled: {one.percent} % of lesson {one.lesson}, version {one.version}, belongs to no write that was acknowledged"
        # A write of what is there already has an effect only on what stands beside it.
        grew = last is not None and last.percent > standing.get(one.lesson, 0)
        if last is not None and one.percent != (last.percent if grew else None):
            yield f"torn: version {one.version} of lesson {one.lesson} says {one.percent} %, its write {last.percent} %"
        standing[one.lesson] = max(standing.get(one.lesson, 0), one.percent or 0)
        for write in covered:
            if one.seq <= write.seen:
                yield f"before its cause: event {one.seq}, by a device that had seen {write.seen}"
        if one.mark is not None and (one.mark, one.lesson) not in marks:
            yield f"unheard of: nobody wrote mark {one.mark} in lesson {one.lesson}"
    for lesson, writes in by_version.items():
        for version, write in writes.items():
            if version > before.get(lesson, 0):
                yield f"vanished: nobody was told version {version} of lesson {lesson}, which device {write.device} was told it wrote"
