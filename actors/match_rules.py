"""Fixed weights over a few mentors: what answers where the matching model does not, and says so.

    Seeker, Candidate ─▶ factors (subject, style, language, availability, time zone, history), each 0 to 1 ─▶ weighed ─▶ Matched, why

The same factors as the model's, in their plainest form: subjects are compared by their words, not by what they mean. What somebody left
open counts as half: it neither fits nor fails.

Pure. Invariant: a factor is in [0, 1], and so is the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from actors.inference import WEIGHTS, Candidate, Matched, Seeker

OPEN: Final = 0.5
"""What counts where one of the two says nothing."""
HOURS_ENOUGH: Final = 4
"""So many hours in common are as good as more: somebody meets for one or two a week."""
HALF_DAY_MIN: Final = 720
HELD_PRIOR: Final = 3.0
"""As many mentorships of middling outcome are thought to everybody's history, so that one good one is not a perfect record."""


def primary(tag: str) -> str:
    """A tag's language: who speaks pt-BR understands pt."""
    return tag.replace("_", "-").partition("-")[0].casefold()


def may_teach(seeker: Seeker, one: Candidate) -> bool:
    """Whether nothing rules them out: room, level, language, community."""
    if one.free <= 0 or one.user == seeker.user:
        return False
    if one.levels and not one.levels >> seeker.level & 1:
        return False
    if seeker.languages and one.languages and not {*map(primary, seeker.languages)} & {*map(primary, one.languages)}:
        return False
    return not seeker.space or seeker.space in one.spaces


def factors(seeker: Seeker, one: Candidate) -> tuple[float, ...]:
    """Each of `actors.inference.FACTORS`."""
    return (
        _subject(seeker.subjects, one.subjects),
        OPEN if not (seeker.styles and one.styles) else (seeker.styles & one.styles).bit_count() / seeker.styles.bit_count(),
        _language(seeker.languages, one.languages),
        OPEN if not (seeker.hours and one.hours) else min(1.0, common_hours(seeker.hours, one.hours) / HOURS_ENOUGH),
        1.0 - _apart(seeker.utc_offset_min, one.utc_offset_min) / HALF_DAY_MIN,
        (one.good + HELD_PRIOR * OPEN) / (one.held + HELD_PRIOR),
    )


def rank(seeker: Seeker, candidates: Iterable[Candidate], limit: int) -> list[Matched]:
    """The best of those who may teach, best first; equals by their number."""
    found: list[tuple[float, int, tuple[float, ...], Candidate]] = []
    for one in candidates:
        if may_teach(seeker, one):
            each = factors(seeker, one)
            score = sum(weight * factor for weight, factor in zip(WEIGHTS, each, strict=True))
            found.append((-score, one.user, each, one))
    found.sort(key=lambda item: item[:2])
    return [Matched(user, min(1.0, -score), each, why(seeker, one, each)) for score, user, each, one in found[:limit]]


def why(seeker: Seeker, one: Candidate, each: Sequence[float]) -> str:
    """The key of the one sentence that says most for them (docs/mentoring.md): a subject of the learner's own words before all."""
    taught = {_plain(subject) for subject in one.subjects}
    subject = next((word for word in seeker.subjects if _plain(word) in taught), "")
    if subject:
        return f"subject:{subject}"
    if seeker.hours and one.hours and each[3] >= 1.0:
        return f"hours:{common_hours(seeker.hours, one.hours)}"
    if one.held and each[5] > OPEN:
        return f"history:{one.held}"
    shared = seeker.styles & one.styles
    if shared:
        return f"style:{shared}"
    spoken = {*map(primary, one.languages)}
    tongue = next((tag for tag in map(primary, seeker.languages) if tag in spoken), "")
    return f"language:{tongue}" if tongue else "open"


def common_hours(one: Sequence[int], other: Sequence[int]) -> int:
    """Hours of the week that both have free."""
    return sum((a & b).bit_count() for a, b in zip(one, other, strict=False))


def _subject(wanted: Sequence[str], taught: Sequence[str]) -> float:
    """How much of what is wanted is taught, word by word, the most wanted first."""
    if not wanted:
        return OPEN
    known = {_plain(subject) for subject in taught}
    words = {word for subject in known for word in subject.split()}
    total = found = 0.0
    for place, subject in enumerate(map(_plain, wanted)):
        weight = 1.0 / (1 + place)
        total += weight
        parts = subject.split()
        found += weight * (1.0 if subject in known else 0.5 * sum(part in words for part in parts) / max(1, len(parts)))
    return found / total


def _language(wanted: Sequence[str], spoken: Sequence[str]) -> float:
    if not wanted or not spoken:
        return OPEN
    known = {*map(primary, spoken)}
    place = next((n for n, tag in enumerate(map(primary, wanted)) if tag in known), None)
    return 0.0 if place is None else 1.0 / (1 + place)


def _apart(one: int, other: int) -> int:
    """Minutes between two clocks, the short way round; at most half a day."""
    apart = abs(one - other) % (2 * HALF_DAY_MIN)
    return min(apart, 2 * HALF_DAY_MIN - apart)


def _plain(subject: str) -> str:
    return " ".join(subject.casefold().split())
