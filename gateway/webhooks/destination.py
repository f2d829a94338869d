"""Where a webhook goes, read strictly from its URL: what two parsers could read differently is refused.

    https://hooks.example.org:8443/in?team=7 ─▶ Destination(secure, host, port, target)

No user information, no fragment, no characters that one parser strips and another keeps, no host that is a number in disguise (decimal,
octal, hexadecimal, short forms): the resolver would take `2130706433` and `0177.1` for 127.0.0.1. What the host resolves to is judged at
each delivery (`connecting`), never here.

Invariant: a destination is sent to exactly as it is written down; nothing in it is decoded, joined or normalised later.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from msgspec import Struct

URL_LENGTH_MAX: Final = 500
HOST_LENGTH_MAX: Final = 253
PORTS: Final = (443, 8443)

_URL: Final = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?"
    r"(/[!$%&'()*+,\-./0-9:;=@A-Z_a-z~]*)?(\?[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*)?"
)
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LOOPBACK_NAME: Final = "localhost"


class DestinationRefused(ValueError):
    """The URL cannot be a webhook's. The text says what is wrong with it and what is allowed; it never repeats the URL, whose path may
    hold a secret."""


class Destination(Struct, frozen=True):
    """Where to send. `target` is the path and query as they stand in the request line."""

    secure: bool
    host: str
    """A name, or an address without brackets."""
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parse(url: str, *, ports: tuple[int, ...] = PORTS, loopback_allowed: bool = False) -> Destination:
    """What `url` means. `loopback_allowed` (development) takes http, any port and this machine's own names too. Raises
    `DestinationRefused`."""
    if len(url) > URL_LENGTH_MAX:
        raise DestinationRefused(f"the URL has {len(url)} characters; allowed: up to {URL_LENGTH_MAX}")
    found = _URL.fullmatch(url)
    if found is None:
        raise DestinationRefused("the URL must be https://host[:port]/path[?query], in ASCII, without a user, a password or a fragment")
    scheme, host, port_text, path, query = found.groups()
    secure = scheme == "https"
    if not secure and not loopback_allowed:
        raise DestinationRefused("the URL must begin with https://")
    port = int(port_text) if port_text else (443 if secure else 80)
    if port not in ports and not (loopback_allowed and 0 < port < 65_536):
        raise DestinationRefused(f"the port is {port}; allowed: {', '.join(map(str, ports))}")
    return Destination(secure, _host(host, loopback_allowed), port, (path or "/") + (query or ""))


def _host(text: str, loopback_allowed: bool) -> str:
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise DestinationRefused("the host in brackets is no IPv6 address") from None
    name = text.lower()
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        pass  # a name, then, and none that a resolver would take for a number
    labels = name.split(".")
    if len(name) > HOST_LENGTH_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise DestinationRefused("the host is no name; expected: labels of letters, digits and hyphens, with dots between")
    if not any(c.isalpha() for c in labels[-1]) or labels[-1].startswith("0x"):
        raise DestinationRefused("the host is a number that is not written as an address; expected: a name, or four decimal numbers")
    if len(labels) < 2 and not (loopback_allowed and name == _LOOPBACK_NAME):
        raise DestinationRefused("the host must be a full name, with a dot in it")
    return name
