"""A model's own process: `python -m ml_actors.worker_process FD KIND [FENCE_MIB]`. Ends when its parent's end of the socket does.

    read an order ─▶ load, feed, warm, answer ─▶ say what came of it

It imports what its kind needs and nothing else of the product. It may be killed at any moment: nothing that it holds is the only copy.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from ml_actors.kinds import KINDS, FedModel, Kind, Model, Unusable
from ml_actors.registry import open_version
from ml_actors.worker_frames import (
    FRAME_BYTES_MAX,
    LENGTH,
    AnyOrder,
    AnySaid,
    Batch,
    Broke,
    Done,
    Fed,
    Feed,
    Load,
    Loaded,
    Warm,
    Warmed,
    frame,
)

NICE: Final = 5
"""A socket's next byte goes before a model's next batch where they share a machine."""
OOM_SCORE: Final = b"1000"
"""Where memory is short it is this one that the kernel ends."""
_ORDER: Final = msgspec.msgpack.Decoder(AnyOrder)
_ENCODER: Final = msgspec.msgpack.Encoder()


class _Child:
    def __init__(self, ear: socket.socket, kind: Kind) -> None:
        self._ear = ear
        self._kind = kind
        self._request = msgspec.msgpack.Decoder(kind.request)
        self._model: Model[Any, Any] | None = None

    def run(self) -> None:
        """Until the other end is closed. Raises what a model raises while it loads, is fed or warms."""
        while (data := self._read()) is not None:
            self._say(self._obey(_ORDER.decode(data)))

    def _obey(self, order: AnyOrder) -> AnySaid:
        match order:
            case Load(_, folder, options):
                card = open_version(Path(folder))
                self._model = self._kind.load(Path(folder), options)
                return Loaded(card.title if options.runtime == "embedded" else f"{card.name}@{options.model or 'transformers'}")
            case Feed(rows):
                # A kind says that it is fed; the first order of another shape would be an error of ours.
                model: FedModel[Any, Any] = self._loaded()  # type: ignore[assignment]
                model.feed(rows)
                return Fed()
            case Warm():
                self._loaded().warm()
                return Warmed()
            case Batch(requests):
                answers = self._answer(requests)
                raised = {place: answer for place, answer in enumerate(answers) if isinstance(answer, str)}
                return Done([b"" if isinstance(answer, str) else answer for answer in answers], raised)

    def _loaded(self) -> Model[Any, Any]:
        assert self._model is not None, "Load comes first"
        return self._model

    def _answer(self, raw: list[bytes]) -> list[bytes | str]:
        results: list[bytes | str] = ["" for _ in raw]
        requests: dict[int, Any] = {}
        for place, data in enumerate(raw):
            try:
                requests[place] = self._request.decode(data)
            except msgspec.MsgspecError as error:
                results[place] = f"not understood: {error}"
        try:
            results_of = self._ask(list(requests.values()))
        except Exception as error:  # noqa: BLE001 - a model may raise anything: it is said, and the next one is asked
            # One request that makes it raise must not cost the others their answers.
            results_of = [self._ask_one(request, error, alone=len(requests) == 1) for request in requests.values()]
        for place, result in zip(requests, results_of, strict=True):
            results[place] = result
        return results

    def _ask(self, requests: list[Any]) -> list[bytes | str]:
        if not requests:
            return []
        results = self._loaded().answer(requests)
        if len(results) != len(requests):
            raise ValueError(f"{len(results)} results for {len(requests)} requests")
        return [_ENCODER.encode(result) for result in results]

    def _ask_one(self, request: Any, error: Exception, *, alone: bool) -> bytes | str:
        if alone:
            return _words(error)
        try:
            return self._ask([request])[0]
        except Exception as own:  # noqa: BLE001
            return _words(own)

    def _say(self, said: AnySaid) -> None:
        self._ear.sendall(frame(said))

    def _read(self) -> bytes | None:
        head = self._receive(LENGTH.size)
        if head is None:
            return None
        (length,) = LENGTH.unpack(head)
        if length > FRAME_BYTES_MAX:
            raise ValueError(f"an order of {length} bytes")
        return self._receive(length)

    def _receive(self, count: int) -> bytes | None:
        data = bytearray(count)
        view, got = memoryview(data), 0
        while got < count:
            part = self._ear.recv_into(view[got:])
            if not part:
                return None
            got += part
        return bytes(data)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def main(arguments: list[str]) -> int:
    ear = socket.socket(fileno=int(arguments[0]))
    kind = KINDS[arguments[1]]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which then ends this one
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(OOM_SCORE)
    if len(arguments) > 2:
        # A fence behind the parent's watch, which looks some times a second: one allocation can be larger than the machine.
        fence = int(arguments[2]) * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (fence, fence))
    child = _Child(ear, kind)
    try:
        child.run()
    except Exception as error:  # noqa: BLE001 - the last word before the end
        with contextlib.suppress(OSError):
            child._say(Broke(str(error) if isinstance(error, Unusable) else _words(error), usable=not isinstance(error, Unusable)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
