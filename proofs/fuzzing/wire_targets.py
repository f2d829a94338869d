"""Bytes before they are messages: the reader of frames, request heads, the header of a balancer.

reader     rfc6455.Reader     the same events as an independent parser sees, however the bytes are cut; memory within its bound
head       gateway.handshake  Head or Refusal, then a decision; a refusal is an answer
address    client_address     an address or Malformed; never a byte behind the header is asked for
"""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterable
from random import Random
from typing import Final, cast

from wsproto import frame_protocol

from gateway import client_address, rfc6455
from gateway.handshake import Elsewhere, Head, Policy, Refusal, Upgrade, decide, parse_head
from proofs.fuzzing.grammar import TERRAIN, Grammar
from proofs.fuzzing.heads import HEAD_BYTES_MAX, any_head
from proofs.fuzzing.mutation import any_message, mutate_bytes, mutate_wire
from proofs.fuzzing.target import Target, Wrong, plain

CUTS: Final = (1, 2, 7, 64, 4096)
MESSAGE_MAX: Final = 8_192
HEADER_BYTES_MAX: Final = 14
POLICY: Final = Policy(origins=("https://learn.example",))
TRUST: Final = client_address.Trust((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")), True, "x-forwarded-for")
FORWARDED: Final = client_address.Trust(TRUST.networks, True, "forwarded")
BEHIND: Final = b"\x16\x03\x01 what follows the header"
_REGISTERED_SINCE: Final = (1014,)
"""Bad gateway: in IANA's registry of close codes, and not in theirs."""
_LIMITS: Final = frozenset((rfc6455.TOO_BIG, rfc6455.POLICY))


class ReaderTarget(Target):
    """One byte that says how the rest is cut, then frames."""

    name = "reader"
    share = 18
    cost_per_byte = 40
    """Events for frames of two bytes each are most of it."""

    def draw(self, chance: Random) -> tuple[bytes, str]:
        grammar = Grammar(chance, TERRAIN)
        wire, kind = b"", "wire"
        for _ in range(chance.randint(1, 4)):
            payload, _ = any_message(chance, grammar)
            more, kind = mutate_wire(chance, payload[:2_000])
            wire += more
        if chance.random() < 0.3:
            wire, kind = mutate_bytes(chance, wire, wire)
        return chance.randbytes(1) + wire, kind

    def take(self, data: bytes) -> Iterable[Hashable]:
        wire = data[1:]
        limits = rfc6455.Limits(message_bytes_max=MESSAGE_MAX)
        whole = rfc6455.Reader(limits).feed(wire)
        pieces: list[rfc6455.Event] = []
        reader = rfc6455.Reader(limits)
        chance = Random(data[0] if data else 0)
        at = 0
        while at < len(wire):
            size = chance.choice(CUTS)
            pieces += reader.feed(wire[at : at + size])
            at += size
            if reader.buffered_bytes > MESSAGE_MAX + rfc6455.CONTROL_BYTES_MAX + HEADER_BYTES_MAX + size:
                raise Wrong(f"{reader.buffered_bytes} bytes are held")
        if whole != pieces:
            raise Wrong(f"cut differently, read differently: {whole!r} and {pieces!r}"[:400])
        ends = [event for event in whole if isinstance(event, rfc6455.Violation | rfc6455.Close)]
        if len(ends) > 1 or (ends and whole[-1] is not ends[0]):
            raise Wrong("events after the end")
        if ends and isinstance(ends[0], rfc6455.Violation) and ends[0].code not in (1002, 1007, 1008, 1009):
            raise Wrong(f"a violation with {ends[0].code}")
        _compare(whole, wire)
        kinds = [type(event).__name__ for event in whole]
        reason = plain(ends[0].reason) if ends and isinstance(ends[0], rfc6455.Violation) else ""
        return [(*kinds[-2:], ends[0].code if ends else 0, reason), min(len(whole), 8)]


def _compare(ours: list[rfc6455.Event], wire: bytes) -> None:
    """Whether wsproto, which nobody here wrote, reads the same: what one of them reads, the other reads too or has not come to.

    Who ends, and where, may differ: we judge a frame by its first bytes, they judge a text before all of it is there, and after a close
    frame they go on reading.
    """
    end = ours[-1] if ours else None
    if (isinstance(end, rfc6455.Violation) and end.code in _LIMITS) or (isinstance(end, rfc6455.Close) and end.code in _REGISTERED_SINCE):
        return
    theirs, failed = _independently(wire)
    mine = [_told(event) for event in ours if not isinstance(event, rfc6455.Violation)]
    closed = isinstance(end, rfc6455.Close)
    same = min(len(mine), len(theirs))
    agreed = mine[:same] == theirs[:same]
    if not agreed or len(mine) > same or (len(theirs) > same and not closed):
        raise Wrong(f"an independent parser reads {theirs!r}{' and fails' if failed else ''}; this one {ours!r}"[:600])


def _told(event: rfc6455.Event) -> tuple[int, bytes]:
    match event:
        case rfc6455.Message():
            return event.opcode, event.payload
        case rfc6455.Ping():
            return rfc6455.PING, event.payload
        case rfc6455.Pong():
            return rfc6455.PONG, event.payload
        case _:
            return rfc6455.CLOSE, b""


def _independently(wire: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    protocol = frame_protocol.FrameProtocol(client=False, extensions=[])
    told: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    try:
        protocol.receive_bytes(wire)
        for frame in protocol.received_frames():
            opcode = int(frame.opcode)
            if opcode == rfc6455.CLOSE:
                told.append((opcode, b""))
                continue
            payload = frame.payload.encode() if isinstance(frame.payload, str) else bytes(cast(bytes, frame.payload))
            if opcode in (rfc6455.PING, rfc6455.PONG):
                told.append((opcode, payload))
                continue
            parts.append(payload)
            if frame.message_finished:
                told.append((opcode, b"".join(parts)))
                parts = []
    except frame_protocol.ParseFailed:
        return told, True
    return told, False


class HeadTarget(Target):
    """A request's head, and what may follow it."""

    name = "head"
    share = 14

    def draw(self, chance: Random) -> tuple[bytes, str]:
        return any_head(chance)

    def pieces(self, data: bytes) -> list[bytes]:
        return data.splitlines(keepends=True)

    def take(self, data: bytes) -> Iterable[Hashable]:
        data = data[:HEAD_BYTES_MAX]
        end = data.find(b"\r\n\r\n")
        head = parse_head(data[: end + 4] if end >= 0 else data + b"\r\n\r\n")
        if isinstance(head, Refusal):
            return [_answered(head)]
        told = [("head", head.method == "GET", head.version, min(len(head.fields), 20))]
        decision = decide(head, POLICY)
        match decision:
            case Refusal():
                return [*told, _answered(decision)]
            case Upgrade():
                self._check(head, decision)
                return [*told, ("upgrade", decision.subprotocol, decision.origin)]
            case Elsewhere():
                return [*told, "elsewhere"]

    @staticmethod
    def _check(head: Head, upgrade: Upgrade) -> None:
        origins = head.values("origin")
        if head.method != "GET" or head.version < (1, 1) or head.path != POLICY.path or (origins and origins[0] not in POLICY.origins):
            raise Wrong("an upgrade that is none")
        if not upgrade.response.startswith(b"HTTP/1.1 101 ") or upgrade.response.count(b"\r\n\r\n") != 1:
            raise Wrong(f"an upgrade is answered by {upgrade.response!r}")


def _answered(refusal: Refusal) -> Hashable:
    response = refusal.response()
    if not response.startswith(b"HTTP/1.1 %d " % refusal.status) or response.count(b"\r\n\r\n") != 1:
        raise Wrong("a refusal without a status line")
    return refusal.status, refusal.text


class AddressTarget(Target):
    """A PROXY header with something behind it, or the value of a field that a balancer writes."""

    name = "address"
    share = 4

    def draw(self, chance: Random) -> tuple[bytes, str]:
        hosts = ("192.0.2.7", "10.1.2.3", "::1", "2001:db8::7", "fe80::1%eth0", "fd00::1", "::ffff:1.2.3.4", "1.2.3", "256.1.1.1", "x", "")
        host, other = chance.choice(hosts), chance.choice(hosts)
        port = chance.choice((0, 443, 65535, 65536, -1, 10**30))
        family = chance.choice((0x11, 0x12, 0x21, 0x22, 0x31, 0x00))
        body = chance.randbytes(chance.choice((0, 8, 12, 36, 216, 2_048, 2_049)))
        forms: tuple[tuple[bytes, str], ...] = (
            (f"PROXY {chance.choice(('TCP4', 'TCP6', 'UNKNOWN', 'UDP4'))} {host} {other} {port} 443\r\n".encode(), "address:line"),
            (f"PROXY UNKNOWN{' x' * chance.choice((0, 1, 60))}\r\n".encode(), "address:unknown"),
            (
                client_address.SIGNATURE_V2
                + bytes((chance.choice((0x20, 0x21, 0x22, 0x11)), family))
                + len(body).to_bytes(2, "big")
                + body,
                "address:binary",
            ),
            (f"{host}, {other}".encode(), "address:forwarded for"),
            (f'for="[{host}]:{port}";proto=https, for={other}'.encode(), "address:forwarded"),
        )
        data, kind = chance.choice(forms)
        return mutate_bytes(chance, data, data) if chance.random() < 0.5 else (data, kind)

    def take(self, data: bytes) -> Iterable[Hashable]:
        return [self._proxy(data), *(self._forwarded(trust, data.decode("latin-1")) for trust in (TRUST, FORWARDED))]

    @staticmethod
    def _proxy(data: bytes) -> Hashable:
        got = b""
        try:
            while wanted := client_address.proxy_bytes_wanted(got):
                if wanted < 0 or len(got) + wanted > client_address.HEAD_V2_BYTES + client_address.BODY_V2_BYTES_MAX:
                    raise Wrong(f"after {len(got)} bytes it wants {wanted} more")
                if len(got) >= len(data):
                    return "more is wanted"
                got += data[len(got) : len(got) + wanted]
            told = client_address.parse_proxy(got)
        except client_address.Malformed as malformed:
            return str(malformed)
        if got.startswith(b"PROXY ") and (got.count(b"\r\n") != 1 or not got.endswith(b"\r\n")):
            raise Wrong(f"bytes behind the line were taken: {got!r}")
        if told is None:
            return "none told"
        client_address.network_key(told[0])
        return "told", ":" in told[0], "%" in told[0]

    @staticmethod
    def _forwarded(trust: client_address.Trust, value: str) -> Hashable:
        stranger, known = "203.0.113.9", "10.9.9.9"
        if client_address.forwarded_address(trust, stranger, [value]) != stranger:
            raise Wrong("a stranger spoke for another")
        address = client_address.forwarded_address(trust, known, [value])
        client_address.network_key(address)
        return trust.header, address == known, ":" in address, "%" in address
