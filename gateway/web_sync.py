"""Sync where sockets are blocked: the same frames, in the body of a request and in its answer.

    POST /api/v1/sync   Bearer   [Sync, Chunk, Mutate, Follow, Snapshot, …]   200 [Welcome, DoneRun, Event, Followed, RecordPage, …]

Both are messages as on the socket, one each; the answer may hold more frames than a message there. What is no message of frames, or holds
one that is not for here, is refused as a whole before anything of it is done; what is wrong with one frame that has an id or a number is
answered by that, and the others are carried out. An `epoch` that is over is answered by `Welcome` alone. A `Goodbye` at the end says that
the device's socket has taken over meanwhile.

Invariant: the device's socket, if there is one, stays as it is; the answer comes within `ANSWER_S`, whatever the database does.
"""

from __future__ import annotations

from typing import Final

import trio
from quart import Blueprint, Response, request

from actors.clock import measure
from actors.requests import QUESTIONS
from actors.storage import Attached, Borrow, Denied
from gateway.mailbox import ask
from gateway.openapi_answers import Media, answers
from gateway.problems import RETRY_S, STATUS, Problem
from gateway.sync_visit import AnyStep, Visit, Visitor
from gateway.web_bounds import SYNC_PATH
from gateway.web_input import admit, network, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codec import BadFrame, decode_command, join, split
from protocol.codes import Code
from protocol.frames import AnyCommand, Chunk, Follow, Mutate, Ping, Refresh, Sync, TakeTicket, Unfollow, Watch
from protocol.permissions import OWN

CONTENT_TYPE: Final = "application/msgpack"
ANSWER_S: Final = 27.0
"""From the request's head to the answer; the body has 20 s of it."""
SEND_S: Final = 30.0
FRAMES_PER_TOKEN: Final = 16
"""So many frames cost a user's rate as much as one request, and so do so many times sixteen changes in chunks."""

_STEPS: Final = (Mutate, Chunk, Follow, Ping, *QUESTIONS, Refresh, Unfollow, Watch, TakeTicket)


def create_sync(services: Services) -> Blueprint:
    """The route above."""
    routes = Blueprint("sync", __name__)
    routes.post(SYNC_PATH)(Syncing(services).sync)
    return routes


class Syncing:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @needs(OWN)
    @answers("Carries frames as on the socket, and answers them.", {200: Media(CONTENT_TYPE)}, takes=Media(CONTENT_TYPE))
    async def sync(self) -> Response:
        services = self._services
        until = trio.current_time() + ANSWER_S
        received_s = services.wall()
        await take(services.rates, "sync-address", network(), services.sync_limits.sync_address)
        claims = await admit(services.tokens, services.sessions, received_s)
        if request.mimetype != CONTENT_TYPE:
            raise Problem(Code.INVALID, f"the body must be frames: Content-Type {CONTENT_TYPE}", status=415)
        sync, steps = read_steps(await request.get_data(cache=False, as_text=False, parse_form_data=False))
        services.http.visit_frames.observe(1 + len(steps))
        await take(services.rates, "sync", claims.user, services.sync_limits.sync_user, _cost(steps))
        attached: object = None
        with trio.move_on_at(until):
            attached = await ask(services.store, Borrow(claims.session, claims.user, claims.device))
        if not isinstance(attached, Attached):
            raise _refusal(attached if isinstance(attached, Denied) else Denied(Code.UNAVAILABLE, "storage did not answer in time"))
        skew_s = measure(None, sync.clock_ms, received_s) or 0
        visitor = Visitor(
            claims.user, claims.device, claims.session, attached, sync, skew_s, claims.expires_at, services.thresholds, network()
        )
        visit = Visit(visitor, services.store, services.journal, services.overtake, services.wall, until, services.quotas)
        response = Response(join(await visit.run(steps)), content_type=CONTENT_TYPE)
        response.timeout = SEND_S
        return response


def read_steps(body: bytes) -> tuple[Sync, list[AnyStep]]:
    """The body's `Sync`, and what follows it. Raises `Problem` for what cannot be answered frame by frame."""
    try:
        frames = split(body)
    except BadFrame as bad:
        raise Problem(Code.INVALID, f"the body is no message of frames: {bad.detail}") from None
    sync: Sync | None = None
    steps: list[AnyStep] = []
    for at, raw in enumerate(frames):
        try:
            command: AnyCommand | BadFrame = decode_command(raw)
        except BadFrame as bad:
            command = bad
        if at == 0:
            if not isinstance(command, Sync):
                raise Problem(Code.INVALID, f"frame 0 is {_name(command)}; a body begins with Sync")
            sync = command
        elif isinstance(command, _STEPS) or (isinstance(command, BadFrame) and command.id):
            steps.append(command)
        else:
            legal = ", ".join(sorted(kind.__name__ for kind in _STEPS))
            raise Problem(Code.INVALID, f"frame {at} is {_name(command)}; legal here: {legal}")
    assert sync is not None, "a message holds at least one frame"
    return sync, steps


def _name(command: AnyCommand | BadFrame) -> str:
    return f"none that can be read ({command.detail})" if isinstance(command, BadFrame) else type(command).__name__


def _cost(steps: list[AnyStep]) -> int:
    changes = sum(len(run.changes) for step in steps if isinstance(step, Chunk) for run in step.runs)
    return 1 + (len(steps) + changes // FRAMES_PER_TOKEN) // FRAMES_PER_TOKEN


def _refusal(denied: Denied) -> Problem:
    code = denied.code
    if code in (Code.NOT_FOUND, Code.FORBIDDEN):
        code = Code.UNAUTHENTICATED
    if code in (Code.BUSY, Code.UNAVAILABLE) or code not in STATUS:
        return Problem(Code.UNAVAILABLE, denied.detail or "storage is away for the moment; nothing was done", retry_after_s=RETRY_S)
    return Problem(code, denied.detail or "this session has ended; log in again")
