"""What must be true of a stream that is checked first, at any moment: of the log and of what is held, seen in one snapshot. Pure.

    messages, edits ──┐
                      ├─ judge ─▶ violations, in words
    rows of `held` ───┘

Invariant: whatever stands there has a row that a model, or a person, let through, with the same words; and nothing hateful stands at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from protocol.events import Edited, Posted, Said
from protocol.values import HeldForm, HeldState

HATEFUL: Final = "worthless"
"""In every text that no model lets through, and in no other."""
_LET_THROUGH: Final = frozenset({HeldState.RELEASED, HeldState.NOTED})


class Stood(Struct, frozen=True):
    """An event of the log, decoded: a message as it reads now, or an edit."""

    stream: int
    seq: int
    body: object


class Row(Struct, frozen=True):
    """A row of `held`. `text`: None where its words are gone; `became`: the number of the event that it was let through as."""

    id: int
    stream: int
    form: HeldForm
    state: HeldState
    text: str | None
    judged_by: str
    decided_by: int
    target: int
    became: int

    @property
    def let_through(self) -> bool:
        """By a model or by a person; the lexicon alone lets nothing through but courtesy, and nobody here says only that."""
        return self.state in _LET_THROUGH and (bool(self.decided_by) or self.judged_by not in ("", "lexicon"))


def judge(log: Iterable[Stood], held: Iterable[Row]) -> list[str]:
    """What is wrong; nothing where all is well."""
    became: dict[tuple[int, int], Row] = {}
    edits: dict[tuple[int, int], list[Row]] = defaultdict(list)
    violations: list[str] = []
    for row in held:
        if row.became and became.setdefault((row.stream, row.became), row) is not row:
            violations.append(f"stream {row.stream}: event {row.became} was let through twice")
        if row.form is HeldForm.EDIT and row.let_through:
            edits[row.stream, row.target].append(row)
    for event in log:
        where = f"stream {event.stream}: event {event.seq}"
        match event.body:
            case Said(text=text) | Posted(text=text):
                newest = max(edits[event.stream, event.seq], key=lambda row: row.id, default=None)
                wanted = newest or became.get((event.stream, event.seq))
            case Edited(text=text):
                wanted = became.get((event.stream, event.seq))
            case _:
                continue
        if HATEFUL in text:
            violations.append(f"{where} is hateful, and there")
        if wanted is None or not wanted.let_through:
            violations.append(f"{where} is there, and nobody let it through")
        elif wanted.text is not None and wanted.text != text:
            violations.append(f"{where} does not read as what was let through last")
    return violations


def account(rows: Iterable[Row], said: int, edited: int) -> list[str]:
    """What is wrong with the numbers once everything is quiet: each acknowledged message and edit is held, or was, once."""
    kept = list(rows)
    violations = []
    for form, times in ((HeldForm.MESSAGE, said), (HeldForm.EDIT, edited)):
        of_form = [row for row in kept if row.form is form]
        if len(of_form) != times:
            violations.append(f"{form.name.lower()}: {times} were acknowledged and {len(of_form)} are held or were")
        texts = [row.text for row in of_form if row.text is not None]
        if len(texts) != len(set(texts)):
            violations.append(f"{form.name.lower()}: the same was kept twice")
    return violations
