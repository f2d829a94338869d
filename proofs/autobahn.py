"""`python -m proofs autobahn [--python PATH] [--cases 1.* 9.*]`: Autobahn's conformance cases against this transport.

    wstest (Python 2.7, from PyPI, in a cache) ─▶ the public port: listener, multiplexer, connection, reader ─▶ echo
                                              ◀─ a report of every case

The suite runs under Python 2.7 alone, which few machines have; without one this says so and ends with status 2. What its groups ask is
therefore also asked, by behaviour, in tests/gateway/interop/test_conformance.py, which runs everywhere. Its cases of compression are left
out: no extension is ever agreed to. The product takes binary messages only; here texts are echoed too, and its limits are out of the way.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

import gateway.multiplexer
from actors.socket_port import Outlet, Peer
from gateway import rfc6455
from gateway.connection import Bounds, Connection
from gateway.handshake import Policy
from gateway.http_serving import HttpServing
from gateway.listener import Listener

SUITE: Final = "autobahntestsuite==25.10.1"
GOOD: Final = ("OK", "INFORMATIONAL", "NON-STRICT")
"""Not strict: a text that is not UTF-8 is refused at the end of the frame that shows it, where the suite would rather see it earlier."""
COMPRESSION: Final = ("12.*", "13.*")
LIMIT_S: Final = 1_200.0
BOUNDS: Final = Bounds(
    reader=rfc6455.Limits(message_bytes_max=17 * 2**20, frames_per_message_max=10**6, fragment_bytes_min=0),
    queue_hard_bytes=64 * 2**20,
    controls_per_s_max=1_000,
)


class _Echoing(Connection):
    """Answers every message with itself, texts included."""

    __slots__ = ()

    def _message(self, message: rfc6455.Message) -> None:
        self._put_bounded(rfc6455.encode(message.opcode, message.payload))


class _Session:
    """Hears nothing that matters here."""

    def received(self, payload: bytes) -> None:
        """The connection has answered."""

    def drained(self) -> None:
        """Nothing is pushed."""

    def draining(self, grace_s: float) -> None:
        """Nobody drains."""

    def closed(self, code: int, reason: str) -> None:
        """The report says."""


async def _no_http(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})


def _accept(outlet: Outlet, peer: Peer) -> _Session:
    return _Session()


async def run_suite(command: Sequence[str], cases: Sequence[str], folder: Path) -> dict[str, dict[str, str]]:
    """Serves on a free port, runs the suite against it, and returns its report, case by case."""
    vars(gateway.multiplexer)["Connection"] = _Echoing
    async with trio.open_nursery() as nursery:
        http = HttpServing(_no_http, None)
        await nursery.start(http.run)
        listener = Listener(
            binds=("127.0.0.1:0",), accept=_accept, http=http, random=lambda: 0.5, bounds=BOUNDS, policy=Policy(origins=("*",))
        )
        (bind,) = await nursery.start(listener.run)
        server = {"agent": "this", "url": f"ws://{bind}/socket"}
        spec = {
            "outdir": str(folder),
            "servers": [server],
            "cases": list(cases),
            "exclude-cases": list(COMPRESSION),
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        run = partial(
            trio.run_process, [*command, "-m", "fuzzingclient", "-s", str(folder / "spec.json")], capture_stdout=True, check=False
        )
        with trio.fail_after(LIMIT_S):
            done = await run(stderr=subprocess.STDOUT)
        nursery.cancel_scope.cancel()
    if not (folder / "index.json").exists():
        raise RuntimeError(f"the suite wrote no report: {done.stdout.decode(errors='replace')[-2_000:]}")
    report: dict[str, dict[str, str]] = json.loads((folder / "index.json").read_text())["this"]
    return report


def install(python: str) -> list[str]:
    """The suite's command, installed in the cache if it is not there. Raises `subprocess.CalledProcessError`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "educonnect-tests" / SUITE.replace("==", "-")
    if not (cache / "autobahntestsuite").is_dir():
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--target", str(cache), SUITE], check=True, stderr=subprocess.DEVNULL)
    paths = f"import site, sys; sys.path.insert(0, {str(cache)!r}); site.addsitedir({str(cache)!r})"
    start = f"{paths}; from autobahntestsuite.wstest import run; run()"
    return [python, "-c", start]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs autobahn", description=__doc__)
    parser.add_argument("--python", default=shutil.which("python2.7"), help="an interpreter of Python 2.7 with pip")
    parser.add_argument("--cases", nargs="+", default=["*"], help="of the suite's, by number: 9.* is what it asks about limits")
    arguments = parser.parse_args(argv)
    if not arguments.python:
        print("python2.7 is not installed, and the suite runs under nothing else", file=sys.stderr)
        return 2
    command = install(arguments.python)
    with tempfile.TemporaryDirectory() as folder:
        report = trio.run(run_suite, command, arguments.cases, Path(folder))
    bad = {case: result for case, result in report.items() if result["behavior"] not in GOOD or result["behaviorClose"] not in GOOD}
    for group in sorted({case.split(".")[0] for case in report}, key=int):
        results = Counter(result["behavior"] for case, result in report.items() if case.split(".")[0] == group)
        print(f"group {group}: " + ", ".join(f"{count} {what}" for what, count in sorted(results.items())))
    for case, result in bad.items():
        print(f"BROKEN: case {case}: {result['behavior']}, close {result['behaviorClose']}", file=sys.stderr)
    print(f"cases {len(report)}, broken {len(bad)}")
    return 1 if bad or not report else 0
