"""Is a history one that a maximum can have? Pure.

convergence   everybody ends with the same versions and values, and the value is the greatest that was ever written
atomicity     each write that took effect is one record in one event, as it was written, under the version it was told
causal order  a write stands behind everything its writer had seen; nobody sees a lesson fall
liveness      every write has an outcome, and no queue is stuck
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from proofs.maxwrite.history import History, Told, Write
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
            if one.version != version.get(one.lesson, 0) + 1:
                yield f"gap: device {device} saw version {one.version} of lesson {one.lesson} after {version.get(one.lesson, 0)}"
            version[one.lesson] = one.version
            if one.percent is not None:
                if one.percent < percent.get(one.lesson, -1):
                    yield f"fell: device {device} saw lesson {one.lesson} at {one.percent} % after {percent[one.lesson]} %"
                percent[one.lesson] = one.percent


def _effects(history: History) -> Iterator[str]:
    told = next(iter(history.told.values()), [])
    by_version: dict[tuple[int, int], Told] = {(one.lesson, one.version): one for one in told}
    by_mark: dict[int, Write] = {write.mark: write for write in history.writes}
    taken: set[tuple[int, int]] = set()
    for write in history.writes:
        if write.outcome not in WRITTEN:
            continue
        place = (write.lesson, write.version)
        one = by_version.get(place)
        if one is None:
            yield f"vanished: lesson {write.lesson} never had version {write.version}, which device {write.device} was told"
            continue
        if place in taken:
            yield f"doubled: two writes were told version {write.version} of lesson {write.lesson}"
        taken.add(place)
        if one.percent is not None and one.percent != write.percent:
            yield f"torn: version {write.version} of lesson {write.lesson} says {one.percent} %, its write {write.percent} %"
        if one.seq <= write.seen:
            yield f"before its cause: event {one.seq}, by a device that had seen {write.seen}"
    for one in told:
        beside = by_mark.get(one.mark) if one.mark is not None else None
        if one.mark is not None and beside is None:
            yield f"unheard of: nobody wrote mark {one.mark}"
        elif beside is not None and one.percent is not None and beside.percent != one.percent:
            yield f"torn: {one.percent} % stands beside the mark of a write of {beside.percent} %"
        # Where only housekeeping was written, the write itself lost or said nothing new.
        if one.percent is not None and (one.lesson, one.version) not in taken and not history.open:
            yield f"doubled: version {one.version} of lesson {one.lesson} belongs to no write that was acknowledged"
