"""Connections for webhooks: a name is resolved once, every address it has is judged, and the connection goes to one that was judged.

    host ─resolve, once─▶ addresses ─all public?─▶ TCP to that very address ─▶ TLS verified with the host's name
                                     │ one is not
                                     ╰─▶ DestinationForbidden: nothing is sent

Looking a name up, judging it, and letting a library look it up again is the hole that DNS rebinding goes through: the second answer is
another one. Here there is no second question. One address that is not public condemns all: an honest receiver has none.

Invariant: no byte goes to an address that was not judged in this very attempt.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import httpcore
import trio

from gateway.options import Reach
from gateway.webhooks.addresses import objection

ADDRESSES_MAX: Final = 16
"""Of a name, this many are judged; a name with more is refused."""
ATTEMPTS_MAX: Final = 3
"""Addresses that are tried in one delivery."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text. Raises `OSError` where there are none."""
Certificates: TypeAlias = Callable[[], ssl.SSLContext]


class DestinationForbidden(Exception):
    """The host has an address that nothing is sent to. The text says why, without the address: what a name means inside is nobody's."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """By the system's resolver. Raises `OSError`."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class JudgingBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, to judged addresses only. One for each delivery."""

    def __init__(self, reach: Reach, resolve: Resolve = resolve, connect: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._reach = reach
        self._resolve = resolve
        self._connect = connect or httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises `DestinationForbidden`, `OSError`, and what httpcore's own backend raises."""
        reach = self._reach
        addresses = await self._resolve(host, port)
        if not addresses:
            raise OSError("the name has no addresses")
        if len(addresses) > ADDRESSES_MAX:
            raise DestinationForbidden(f"the host has {len(addresses)} addresses; allowed: up to {ADDRESSES_MAX}")
        for address in addresses:
            against = objection(address, loopback_allowed=reach.loopback_allowed, forbidden=reach.forbidden)
            if against is not None:
                raise DestinationForbidden(f"the host has an address that nothing is sent to: {against}")
        failure: Exception | None = None
        for address in list(addresses)[:ATTEMPTS_MAX]:
            try:
                return await self._connect.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refused always: a path in this machine is no receiver."""
        raise DestinationForbidden("webhooks go over the network")

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)
