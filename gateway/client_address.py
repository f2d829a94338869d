"""Who is really at the other end, when a balancer stands between: without I/O.

    socket address ─ trusted? ─▶ PROXY v1/v2 header ─▶ Forwarded / X-Forwarded-For ─▶ the client's address
                     │ no: the socket's own address is the client's, whatever the bytes claim

Both are claims that anyone can make, so they count only when the socket comes from a network named in the settings. Of a chain of
forwarders the *rightmost* address that is not trusted is the client: everything left of it was written by the client itself.

Invariant: an untrusted peer is never known by any other address than its socket's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SIGNATURE_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
HEAD_V2_BYTES: Final = 16
LINE_V1_BYTES_MAX: Final = 107
"""The longest version 1 line, by its specification."""
BODY_V2_BYTES_MAX: Final = 2048
"""Addresses take at most 216 bytes; the rest are TLVs of balancers, which are skipped."""

_FORWARDED_FOR: Final = re.compile(r'for="?\[?([^\]";,]+)', re.IGNORECASE)


class Trust(msgspec.Struct, frozen=True):
    """Which peers may speak for others, and how they do."""

    networks: tuple[Network, ...] = ()
    proxy_protocol: bool = False
    """A trusted peer must begin with a PROXY header; without the setting nobody may."""
    header: Literal["", "forwarded", "x-forwarded-for"] = ""
    """The one field that the balancer writes. Reading both would let a client fill in the other."""

    def covers(self, address: str) -> bool:
        if not address:
            # A unix socket has no address: the mode of its file decides who may speak there, and that is the operator's own balancer.
            return True
        if not self.networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.networks)


class Malformed(Exception):
    """The PROXY header is none."""


def proxy_bytes_wanted(got: bytes) -> int:
    """How many more bytes of the PROXY header are needed, at least: 0 when it is complete. Never asks for a byte behind the header.

    Raises `Malformed`.
    """
    if SIGNATURE_V2.startswith(got[: len(SIGNATURE_V2)]):
        if len(got) < len(SIGNATURE_V2):
            # The shortest version 1 line is longer than this.
            return len(SIGNATURE_V2) - len(got)
        if len(got) < HEAD_V2_BYTES:
            return HEAD_V2_BYTES - len(got)
        body = int.from_bytes(got[14:16], "big")
        if body > BODY_V2_BYTES_MAX:
            raise Malformed("the PROXY header is too long")
        return HEAD_V2_BYTES + body - len(got)
    if not b"PROXY ".startswith(got[:6]):
        raise Malformed("no PROXY header")
    if got.endswith(b"\r\n"):
        return 0
    if len(got) >= LINE_V1_BYTES_MAX:
        raise Malformed("the PROXY line is too long")
    return 1


def parse_proxy(header: bytes) -> tuple[str, int] | None:
    """The address and port that a complete PROXY header tells; None when it tells none (a balancer's own check). Raises `Malformed`."""
    try:
        return _parse_v2(header) if header.startswith(SIGNATURE_V2) else _parse_v1(header)
    except (ValueError, IndexError) as error:
        raise Malformed("the PROXY header is malformed") from error


def _parse_v1(line: bytes) -> tuple[str, int] | None:
    words = line[:-2].decode("ascii").split(" ")
    if words[1] == "UNKNOWN":
        return None
    if words[1] not in ("TCP4", "TCP6") or len(words) != 6:
        raise ValueError(words[1])
    return str(ipaddress.ip_address(words[2])), _port(int(words[4]))


def _parse_v2(header: bytes) -> tuple[str, int] | None:
    version, command, family = header[12] >> 4, header[12] & 0xF, header[13] >> 4
    if version != 2 or command > 1:
        raise ValueError("version")
    body = header[HEAD_V2_BYTES:]
    if command == 0 or family not in (1, 2):
        return None
    width = 4 if family == 1 else 16
    if len(body) < 2 * width + 4:
        raise ValueError("addresses")
    port = int.from_bytes(body[2 * width : 2 * width + 2], "big")
    return str(ipaddress.ip_address(body[:width])), port


def _port(value: int) -> int:
    if not 0 <= value <= 65535:
        raise ValueError("port")
    return value


def forwarded_address(trust: Trust, socket_address: str, values: Sequence[str]) -> str:
    """The client's address by the values of `trust.header`, in the order they came."""
    if not trust.header or not trust.covers(socket_address):
        return socket_address
    address = socket_address
    for claimed in reversed(list(_addresses(trust.header, values))):
        try:
            address = str(ipaddress.ip_address(claimed))
        except ValueError:
            return address
        if not trust.covers(address):
            return address
    return address


def _addresses(header: str, values: Iterable[str]) -> Iterable[str]:
    for element in ",".join(values).split(","):
        if header == "x-forwarded-for":
            yield element.strip()
        elif (found := _FORWARDED_FOR.search(element)) is not None:
            claimed = found[1].strip()
            yield claimed.rpartition(":")[0] if claimed.count(":") == 1 else claimed


def plain_address(address: str) -> str:
    """An IPv4 address that a dual-stack socket shows in IPv6 form, as IPv4; anything else as it is, without a zone."""
    host = address.partition("%")[0]
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def network_key(address: str) -> str:
    """What limits per client count by: the address, or the /64 of an IPv6 one, since that is what one subscriber gets."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((int(ipaddress.IPv6Address(address)) >> 64 << 64, 64)))
