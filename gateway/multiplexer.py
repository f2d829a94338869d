"""Every open WebSocket of the process, and the rounds in which their sends are gathered.

    adopt(sock) ─▶ Connection ─▶ accept(outlet, peer) ─▶ inlet
    cork ─ push push push … ─ uncork ─▶ one send per socket

Nearly nine tenths of fan-out is the kernel's `send`, so what counts is the number of calls: whoever is about to push many things (the
dispatcher, for one round of actors; the poller, for one round of sockets) corks first.

Invariant: a connection is in the set exactly as long as its descriptor is watched.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio

from actors.socket_port import Accept, Peer
from gateway import rfc6455
from gateway.connection import Bounds, Connection, Counters, Shared
from gateway.poller import READ, Poller


class Multiplexer:
    """All open sockets. `accept` is asked for the session of each; `ended` hears the peer of each that is gone."""

    def __init__(
        self,
        poller: Poller,
        accept: Accept,
        bounds: Bounds,
        counters: Counters,
        ended: Callable[[Peer], None],
    ) -> None:
        self._shared = Shared(poller, bounds, counters, self._forget)
        self._accept = accept
        self._ended = ended
        self._open: set[Connection] = set()
        self._emptied = trio.Event()
        poller.each_round(self.cork, self.uncork)

    def __len__(self) -> int:
        return len(self._open)

    def backed_up(self) -> list[Connection]:
        """The sockets whose peers do not take what is sent, for whoever watches. Looks at all of them: 1 ms for 20,000."""
        return [connection for connection in self._open if connection.backed_up]

    def adopt(self, sock: socket.socket, peer: Peer, head: bytes, rest: bytes) -> None:
        """Takes over a socket whose handshake is decided: answers it with `head`; `rest` is what came behind the request."""
        connection = Connection(self._shared, sock, peer)
        self._open.add(connection)
        self._shared.counters.accepted += 1
        connection.open(head)
        connection.attach(self._accept(connection, peer))
        if rest:
            connection.feed(rest)
        if peer.secure:
            # More may be decrypted already, and epoll does not see that.
            connection.ready(READ)

    def cork(self) -> None:
        """From here to `uncork`, everything for one socket gathers into one send. Nests."""
        self._shared.corks += 1

    def uncork(self) -> None:
        shared = self._shared
        shared.corks -= 1
        if shared.corks == 0 and shared.corked:
            shared.flush_corked()

    def announce_drain(self, grace_s: float) -> None:
        """Tells every session that its socket will be closed in `grace_s` seconds."""
        for connection in list(self._open):
            connection.announce_drain(grace_s)

    def close_all(self, code: int, reason: str) -> None:
        for connection in list(self._open):
            connection.close(code, reason)

    def abandon(self) -> None:
        """Tells every session that it is over, and closes without waiting."""
        for connection in list(self._open):
            connection.abandon(rfc6455.GOING_AWAY, "the server stops")

    async def wait_empty(self) -> None:
        """Returns when no socket is left."""
        while self._open:
            await self._emptied.wait()
            self._emptied = trio.Event()

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._shared.poller.retire(connection)
        self._ended(connection.peer)
        if not self._open:
            self._emptied.set()
