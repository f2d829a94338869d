"""Which addresses a webhook may be sent to: those of the public internet, and none that leads back inside.

    "203.0.113.9", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe" ─▶ the address that is really reached ─▶ None, or why not

An IPv6 address can carry an IPv4 one (mapped, NAT64, 6to4): what it carries is judged, since a router on the way takes it out. Of IPv6,
only the space that is handed out for use is public; of IPv4, everything that no registry keeps for something else.

Invariant: what is not known to be public is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_RESERVED_4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT; one cloud's metadata too (100.100.100.200)
        "127.0.0.0/8",
        "168.63.129.16/32",  # public by number, but one cloud's own door to its machines
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; another cloud's metadata (192.0.0.192)
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_HANDED_OUT_6: Final = ipaddress.IPv6Network("2000::/3")
_RESERVED_6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = ipaddress.IPv6Network("2002::/16")


def objection(address: str, *, loopback_allowed: bool = False, forbidden: Sequence[Network] = ()) -> str | None:
    """Why nothing is sent to `address`; None if it may be. `forbidden`: networks that an operator keeps out beside. Never resolves a
    name."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "it is no IP address"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id is not None:
        return "it belongs to one link only"
    reached = _reached(parsed)
    if any(one in network for one in (parsed, reached) for network in forbidden if network.version == one.version):
        return "the operator has forbidden it"
    if loopback_allowed and reached.is_loopback and reached is parsed:
        return None
    if isinstance(reached, ipaddress.IPv4Address):
        return "it is not public" if any(reached in network for network in _RESERVED_4) else None
    if reached not in _HANDED_OUT_6 or any(reached in network for network in _RESERVED_6):
        return "it is not public"
    return None


def _reached(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """What a packet to `address` arrives at, where that can be read from the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _MAPPED or address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return address
