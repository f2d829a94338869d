"""Attacks that need no account: on the door, and on who one claims to be.

half_open · slow_heads · origins · tokens · flood        each returns a Verdict
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Final

import httpx
import jwt
import trio

from gateway.admission import Gates
from gateway.options import AUDIENCE, ISSUER
from gateway.tokens import ALGORITHM, KeySet, generate_pem, public_pem
from proofs.fuzzing.door_targets import sign_with_secret
from proofs.fuzzing.field import Field, Verdict
from proofs.fuzzing.heads import Knock, any_knock, encode_lines, handshake
from proofs.fuzzing.knocking import HEAD_S, read_response
from proofs.fuzzing.line import Conversation, Line, Silent
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import Goodbye, Hello, Ping

GATES: Final = Gates()
HALF_OPEN: Final = 10_000
HALF_OPEN_ADDRESSES: Final = 100
FILES_SLACK: Final = 200
DRIPPING: Final = 100
DRIP_S: Final = 0.5
SLACK_S: Final = 10.0
FLOOD_S: Final = 20.0
FLOODING: Final = 60
NICE: Final = 10
"""An attacker brings a machine of its own; here it shares the server's, and must not win by taking its cores."""


async def half_open(field: Field) -> Verdict:
    """Ten thousand connections that never say anything: half of them from one address, the rest from a hundred."""
    verdict = Verdict()
    before = field.files()
    count = field.some(HALF_OPEN)
    socks: list[socket.socket] = []
    most = 0
    honest_s = []
    try:
        for number in range(count):
            sock = socket.socket()
            socks.append(sock)
            sock.setblocking(False)
            source = "127.9.0.1" if number % 2 else f"127.9.1.{1 + number // 2 % HALF_OPEN_ADDRESSES}"
            sock.bind((source, 0))
            sock.connect_ex(("127.0.0.1", field.port))
            if number % 200 == 0:
                await trio.sleep(0.01)
                most = max(most, field.files() - before)
            if number % (count // 5 or 1) == 0:
                honest_s.append(await _honest(field))
        most = max(most, field.files() - before)
        honest_s.append(await _honest(field))
    finally:
        for sock in socks:
            sock.close()
    verdict.figures |= {"connections": count, "held at most": most, "an honest newcomer took at most, ms": round(1000 * max(honest_s))}
    bound = GATES.half_open_max
    verdict.demand(most <= bound + FILES_SLACK, f"{most} half-open connections were held; at most {bound} may be")
    with trio.move_on_after(HEAD_S + SLACK_S):
        while field.files() > before + FILES_SLACK:  # noqa: ASYNC110 - another process's descriptors tell nobody
            await trio.sleep(0.1)
    verdict.demand(field.files() <= before + FILES_SLACK, f"{field.files() - before} descriptors are left when everybody has gone")
    return verdict


async def _honest(field: Field) -> float:
    """How long somebody else waits for a handshake, in seconds."""
    began_s = trio.current_time()
    async with field.talk("127.9.2.1"):
        return trio.current_time() - began_s


async def slow_heads(field: Field) -> Verdict:
    """Heads that come a byte at a time."""
    verdict = Verdict()

    async def drip(number: int) -> None:
        data = encode_lines(handshake())[:-2] + b"X: " + b"y" * 200
        began_s = trio.current_time()
        async with Line.open(field.port, f"127.9.3.{1 + number}") as line, trio.open_nursery() as nursery:

            async def send() -> None:
                for at in range(len(data)):
                    if not await line.send(data[at : at + 1]):
                        return
                    await trio.sleep(DRIP_S)

            nursery.start_soon(send)
            try:
                response = await read_response(line)
            except Silent:
                response = None
            nursery.cancel_scope.cancel()
        took_s = trio.current_time() - began_s
        verdict.count(response.status if response else "no answer")
        verdict.demand(response is not None and response.status == 408, "a head that drips was not answered 408")
        verdict.demand(took_s < HEAD_S + SLACK_S, f"it took {took_s:.0f} s until it was")

    async with trio.open_nursery() as everybody:
        for number in range(field.some(DRIPPING)):
            everybody.start_soon(drip, number)
    return verdict


async def origins(field: Field) -> Verdict:
    """Pages of other people open a socket."""
    verdict = Verdict()
    foreign = (
        "https://evil.example",
        "null",
        "https://learn.example.evil.example",
        "http://learn.example",
        "https://LEARN.example",
        "file://",
    )
    for origin, wanted in (*((origin, 403) for origin in foreign), (field.origin, 101)):
        async with Line.open(field.port, "127.9.4.1") as line:
            await line.send(encode_lines([*handshake(), f"Origin: {origin}"]))
            response = await read_response(line)
        status = response.status if response else 0
        verdict.count(status)
        verdict.demand(status == wanted, f"origin {origin} was answered {status}, not {wanted}")
    return verdict


async def tokens(field: Field) -> Verdict:
    """Tokens that nobody here signed, or not for this moment, shown to the socket and to HTTP."""
    verdict = Verdict()
    rogue = field.rogues[0]
    now = int(time.time())
    claims = field.claims(rogue)
    who = {"sub": str(claims.user), "did": claims.device, "sid": claims.session}
    said = {"iss": ISSUER, "aud": AUDIENCE, **who, "iat": now, "exp": now + 900}
    header = {"kid": field.keys.signing_kid, "typ": "JWT"}
    foreign = KeySet(generate_pem())
    own, theirs = field.keys._signing, foreign._signing
    assert own is not None and theirs is not None
    public = public_pem(field.pem)
    forged = {
        "none": jwt.encode(said, "", algorithm="none", headers=header),
        "HS256 with the public key": sign_with_secret(said, header, public.encode()),
        "a foreign key": foreign.issue(claims.user, claims.device, claims.session, now)[0],
        "a foreign key under our name": jwt.encode(said, theirs[1], algorithm=ALGORITHM, headers=header),
        "expired": jwt.encode(said | {"iat": now - 2_000, "exp": now - 1_000}, own[1], algorithm=ALGORITHM, headers=header),
        "future": jwt.encode(said | {"iat": now + 3_600, "exp": now + 7_200}, own[1], algorithm=ALGORITHM, headers=header),
        "another audience": jwt.encode(said | {"aud": "elsewhere"}, own[1], algorithm=ALGORITHM, headers=header),
        "another issuer": jwt.encode(said | {"iss": "elsewhere"}, own[1], algorithm=ALGORITHM, headers=header),
        "claims swapped": _swapped(rogue.token, field.rogues[1].token),
        "cut": rogue.token[:-10],
        "nothing": "x",
    }
    async with httpx.AsyncClient(trust_env=False, base_url=field.url) as http:
        for name, token in forged.items():
            wanted = Code.TOKEN_EXPIRED if name == "expired" else Code.UNAUTHENTICATED
            async with field.talk("127.9.5.1") as talk:
                await talk.send(encode(Hello(1, token, rogue.device)))
                frame = await talk.frame()
            verdict.count(f"socket: {frame.code.name}" if isinstance(frame, Goodbye) else f"socket: {frame!r}")
            verdict.demand(isinstance(frame, Goodbye) and frame.code is wanted, f"a token ({name}) was answered by {frame!r} on the socket")
            answer = await http.get("/api/v1/auth/sessions", headers={"authorization": f"Bearer {token}"})
            verdict.count(f"HTTP: {answer.status_code}")
            verdict.demand(answer.status_code == 401, f"a token ({name}) was answered {answer.status_code} over HTTP")
    return verdict


def _swapped(mine: str, theirs: str) -> str:
    """Somebody else's claims under my signature."""
    head, _, signature = mine.split(".")
    return ".".join((head, theirs.split(".")[1], signature))


async def flood(field: Field) -> Verdict:
    """One address does everything it can think of, from processes of its own."""
    seconds = max(2.0, FLOOD_S * field.share)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        future = pool.submit(_flood, field.port, [rogue_hello(field, number) for number in range(8)], seconds)
        figures = await trio.to_thread.run_sync(future.result)
    verdict = Verdict(dict(figures))
    verdict.demand(figures.get("connections", 0) > 0, "the flood never came to the door")
    return verdict


def rogue_hello(field: Field, number: int) -> bytes:
    rogue = field.rogues[number]
    return encode(Hello(1, rogue.token, rogue.device))


def _flood(port: int, hellos: list[bytes], seconds: float) -> dict[str, int]:
    return trio.run(_flood_for, port, hellos, seconds)


async def _flood_for(port: int, hellos: list[bytes], seconds: float) -> dict[str, int]:
    os.nice(NICE)
    figures: dict[str, int] = {"connections": 0, "heads": 0, "messages": 0, "refused": 0}
    source = "127.9.6.1"

    async def knock(number: int) -> None:
        chance = Random(number)
        while True:
            drawn: Knock = any_knock(chance, "")
            try:
                async with Line.open(port, source) as line:
                    figures["connections"] += 1
                    await line.send(drawn.data)
                    line.finish()
                    figures["heads"] += 1
                    await line.receive()
            except (OSError, Silent, trio.TooSlowError):
                figures["refused"] += 1
            await trio.lowlevel.checkpoint()

    async def shout(number: int) -> None:
        while True:
            try:
                async with Line.open(port, source) as line:
                    figures["connections"] += 1
                    talk = Conversation(line)
                    if not await talk.shake_hands():
                        figures["refused"] += 1
                        await trio.sleep(0.2)
                        continue
                    if number < len(hellos):
                        await talk.send(hellos[number])
                        await talk.frame()
                    for at in range(2_000):
                        await talk.send(encode(Ping(1 + at)))
                        figures["messages"] += 1
            except (OSError, Silent, trio.TooSlowError):
                figures["refused"] += 1
            await trio.lowlevel.checkpoint()

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for number in range(FLOODING):
                nursery.start_soon(shout if number < FLOODING // 2 else knock, number)
    return figures
