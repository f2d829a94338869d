"""A question on its way: made, checked, given options, ranked; and why some were passed over."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.inference import Form

FORM: Final = "form"
"""Not a sentence that one can ask: no verb, too long, a word twice, something left over."""
UNCLEAR: Final = "unclear"
"""It would say "he" of nobody knows whom."""
UNANSWERABLE: Final = "unanswerable"
"""The answer is not in its span, or was not found again from the question."""
TRIVIAL: Final = "trivial"
"""The question says its own answer, or the answer says nothing."""
TWICE: Final = "twice"
"""Another asks the same."""
DROPPED: Final = "dropped"
"""Good enough, but others were better than the limit allows."""
LATE: Final = "late"
"""Not looked at: the time for one text was over."""


class Draft(Struct):
    """Places are code points of the text. `score`s are of the checks, for the ranker."""

    form: Form
    kind: str
    """The rule that made it: "why", "gap", "events" …"""
    prompt: str
    answer: str
    begin: int
    end: int
    """The sentences from which it is answered."""
    sentence: int
    options: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    found: float = 0.0
    """Of the round trip: how much of the answer was found again, 0 to 1."""
    near: float = 0.0
    """Cosine of the question and its sentence."""
    salience: float = 0.0
    place: float = 0.0
    """Of its sentence in the text, 0 to 1."""
    difficulty: float = 0.5
    quality: float = 0.0
