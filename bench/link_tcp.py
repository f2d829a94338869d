"""Just enough of IPv4 and TCP to end a device's connections as its own modem would: with a reset that nobody sent over the air.

    packets of the device ─▶ Flows: what each connection last acknowledged ─▶ resets(): a packet or two for each

A kernel takes a reset only with the number that it expects next (RFC 5961): that is what it acknowledged last, or the end of what was
delivered to it since.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

_TCP: Final = 6
_FIN: Final = 1
_SYN: Final = 2
_RST: Final = 4
_TTL: Final = 64


class Segment(msgspec.Struct, frozen=True):
    """A TCP segment's header, and how far it reaches in the sequence."""

    source: bytes
    target: bytes
    source_port: int
    target_port: int
    seq: int
    ack: int
    flags: int
    payload_bytes: int

    @property
    def end(self) -> int:
        """The number after its last byte; SYN and FIN count as one."""
        return (self.seq + self.payload_bytes + bool(self.flags & _SYN) + bool(self.flags & _FIN)) & 0xFFFFFFFF


def read_segment(packet: bytes) -> Segment | None:
    """The TCP segment in an IPv4 packet; None for anything else, and for fragments."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != _TCP or struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
        return None
    head_bytes = (packet[0] & 15) * 4
    source_port, target_port, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", packet, head_bytes)
    return Segment(packet[12:16], packet[16:20], source_port, target_port, seq, ack, flags, len(packet) - head_bytes - (offset >> 4) * 4)


class _Flow(msgspec.Struct):
    last: Segment
    delivered: int | None = None


class Flows:
    """The connections that a device has open, as seen from its side of the link."""

    def __init__(self) -> None:
        self._flows: dict[tuple[int, int], _Flow] = {}

    def sent(self, packet: bytes) -> None:
        """The device sent this."""
        segment = read_segment(packet)
        if segment is None:
            return
        key = (segment.source_port, segment.target_port)
        if segment.flags & _RST:
            self._flows.pop(key, None)
        elif key in self._flows and not segment.flags & _SYN:
            self._flows[key].last = segment
        else:
            self._flows[key] = _Flow(segment)

    def delivered(self, packet: bytes) -> None:
        """The device was given this."""
        segment = read_segment(packet)
        if segment is not None and (flow := self._flows.get((segment.target_port, segment.source_port))) is not None:
            flow.delivered = segment.end

    def resets(self) -> list[bytes]:
        """Packets for the device that end all its connections; forgets them."""
        packets = []
        for flow in self._flows.values():
            for number in dict.fromkeys(n for n in (flow.last.ack, flow.delivered) if n):
                packets.append(_reset(flow.last, number))
        self._flows.clear()
        return packets


def _reset(last: Segment, seq: int) -> bytes:
    """A reset from the other end of the connection that `last` was sent on."""
    tcp = struct.pack("!HHIIBBHHH", last.target_port, last.source_port, seq, last.end, 5 << 4, _RST | 16, 0, 0, 0)
    pseudo = last.target + last.source + struct.pack("!BBH", 0, _TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, _TTL, _TCP, 0) + last.target + last.source
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + tcp


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
