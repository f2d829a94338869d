"""Heads and handshakes against a running server, each on a connection of its own.

knock ─▶ an answer, where one is owed: a status, and for a refusal words that say why
      ─▶ the line ends, where the client has left in the middle
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from time import time
from typing import Final

import msgspec
import trio

from gateway.tokens import KeySet
from proofs.fuzzing.heads import Knock, any_knock, encode_lines, handshake
from proofs.fuzzing.line import Line, Silent
from proofs.fuzzing.storm import Plan
from proofs.fuzzing.verdict import Report

KNOCKERS: Final = 12
SLOW_HEADS: Final = 20
DRIP_S: Final = 0.5
HEAD_S: Final = 10.0
"""`Gates.head_s`: a head that drips is refused by then."""
SLACK_S: Final = 5.0


class Response(msgspec.Struct, frozen=True):
    """An answer, as far as it came."""

    status: int
    fields: dict[str, str]
    body: bytes


def knock(plan: Plan) -> Report:
    """Knocks `plan.inputs` times. Blocks; runs in a process of its own."""
    return trio.run(_knock, plan)


async def _knock(plan: Plan) -> Report:
    report = Report()
    async with trio.open_nursery() as nursery:
        for number in range(min(SLOW_HEADS, plan.inputs // 10)):
            report.count("slow:head")
            nursery.start_soon(_drip, plan, number, report)
        for number in range(KNOCKERS):
            nursery.start_soon(_Knocker(plan, number, report).run)
    return report


class _Knocker:
    """One after the other."""

    def __init__(self, plan: Plan, number: int, report: Report) -> None:
        self._plan = plan
        self._number = number
        self._report = report
        self._keys = KeySet(Path(plan.key_file).read_text())
        self._source = f"127.0.{10 + plan.worker}.{1 + number}"

    async def run(self) -> None:
        count = 0
        identity = self._plan.identities[0]
        while self._report.inputs < self._plan.inputs:
            count += 1
            token, _ = self._keys.issue(identity.user, identity.device, identity.session, time())
            knock = any_knock(Random(f"{self._plan.seed}:{self._plan.worker}:{self._number}:{count}"), token)
            self._report.count(knock.kind)
            try:
                async with Line.open(self._plan.port, self._source) as line:
                    await self._one(line, knock)
            except Silent as silent:
                self._report.find(knock.kind, str(silent), knock.data)
            except (OSError, trio.TooSlowError) as error:
                self._report.find(knock.kind, f"no connection: {error!r}", knock.data)

    async def _one(self, line: Line, knock: Knock) -> None:
        await line.send(knock.data)
        if not knock.owed:
            line.finish()
        response = await read_response(line, has_body=not knock.data.startswith(b"HEAD "))
        self._judge(knock, response, knock.owed)
        if knock.later and response is not None:
            await line.send(knock.later)
            self._judge(knock, await read_response(line), owed=True)

    def _judge(self, knock: Knock, response: Response | None, owed: bool) -> None:
        if response is None:
            self._report.saw("no answer" if owed else "the client left")
            if owed:
                self._report.find(knock.kind, "the connection ended without an answer", knock.data)
            return
        self._report.saw(f"status {response.status}")
        if response.status in (500, 502) or not 100 <= response.status < 600:
            self._report.find(knock.kind, f"status {response.status}: {response.body[:300]!r}", knock.data)
        elif owed and response.status >= 400 and not response.body.strip():
            self._report.find(knock.kind, f"status {response.status} without a word", knock.data)


async def read_response(line: Line, *, has_body: bool = True) -> Response | None:
    """One response; None if the line ends before its head is there. Without a body it is the answer to HEAD. Raises `Silent`."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await line.receive()
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    status = int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else 0
    fields = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in lines)}
    wanted = int(fields.get("content-length", "0")) if status != 101 and has_body else 0
    while len(body) < wanted and (more := await line.receive()):
        body += more
    return Response(status, fields, body)


async def _drip(plan: Plan, number: int, report: Report) -> None:
    """A head that comes a byte at a time, for ever."""
    data = encode_lines(handshake())[:-2] + b"X: " + b"y" * 200
    began = trio.current_time()
    async with Line.open(plan.port, f"127.0.{10 + plan.worker}.{201 + number % 40}") as line:
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                for at in range(len(data)):
                    if not await line.send(data[at : at + 1]):
                        return
                    await trio.sleep(DRIP_S)

            nursery.start_soon(drip)
            try:
                response = await read_response(line)
            except Silent:
                response = None
            nursery.cancel_scope.cancel()
    took_s = trio.current_time() - began
    report.saw(f"slow head: {response.status if response else 'no answer'}")
    if response is None or response.status != 408 or took_s > HEAD_S + SLACK_S:
        report.find("slow:head", f"{response!r} after {took_s:.1f} s", data)
