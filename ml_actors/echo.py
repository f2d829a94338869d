"""A model that does as it is told: waits, spins, grows, crashes, raises, and otherwise says the words again. For tests and proofs.

Everything that can go wrong in a model goes wrong here on demand, in the process in which it would.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from actors.inference import Echo, Echoed
from ml_actors.kinds import Options, Unusable

MIB: Final = 1024 * 1024


class EchoModel:
    def __init__(self) -> None:
        self._grown: list[bytearray] = []

    def warm(self) -> None:
        self.answer([Echo("")])

    def answer(self, batch: Sequence[Echo]) -> list[Echoed]:
        return [self._answer(echo) for echo in batch]

    def _answer(self, echo: Echo) -> Echoed:
        act, _, amount = echo.act.partition(":")
        match act:
            case "":
                pass
            case "wait":
                time.sleep(float(amount or 0.1))
            case "spin":
                while True:  # until it is killed: the same as a library that never returns
                    pass
            case "grow":
                self._grown.append(bytearray(b"\1" * (int(amount or 64) * MIB)))  # written to, or the kernel would not give it
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "raise":
                raise RuntimeError("as it was told")
            case _:
                raise ValueError(f"{echo.act!r} is nothing that it does")
        return Echoed(echo.words)


def load(folder: Path, options: Options) -> EchoModel:
    if options.device != "cpu":
        raise Unusable(f"echo knows no device {options.device!r}")
    return EchoModel()
