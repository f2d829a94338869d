"""What the command lines of the proofs take for a number: a search that looked at nothing must not say that nothing was found."""

from __future__ import annotations

from argparse import ArgumentTypeError


def at_least_one(text: str) -> int:
    """A whole number from 1 on. Raises `ArgumentTypeError`, which argparse shows."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not allowed here: a whole number from 1 on")
    return int(text)


def some_time(text: str) -> float:
    """Seconds or minutes, more than none. Raises `ArgumentTypeError`."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0.0:
        raise ArgumentTypeError(f"{text!r} is not allowed here: a number above 0")
    return number
