"""All links over HTTP of this process: who opens one, who may speak on it, when they end.

    open ─▶ gates (all, per address) ─▶ accept(outlet, peer) ─▶ name, key
    find(name, key) ─▶ of this gateway? there? the right key? ─▶ link

A name says which gateway has the link, and tells nobody anything; the key is a secret of 128 bits, kept as its SHA-256 alone, and stands
in a field of the request's head, which nobody logs. A name that is not here and a key that is wrong are the same answer.

Invariant: a link is in the table exactly as long as something may still be fetched from it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

import trio

from actors.socket_port import Accept, Peer
from gateway.admission import Census
from gateway.http_link import HttpLink, LinkBounds, LinkCounters
from protocol.codes import Code

TICK_S: Final = 1.0
LAST_WORDS_S: Final = 2.0
"""For the word that it is over to be fetched, when a gateway goes away."""
KEY_BYTES: Final = 16
_NOBODY: Final = bytes(32)
"""Compared with where there is no such link, so that the answer takes as long."""


class LinkRefused(Exception):
    """No link is opened now. `busy`: nobody gets one, else this address has enough."""

    def __init__(self, reason: str, *, busy: bool) -> None:
        super().__init__(reason)
        self.busy = busy


class HttpLinks:
    """`await nursery.start(links.serve, accept)`; before and after it, nothing opens. `number`: this gateway's, in names."""

    def __init__(self, number: int, bounds: LinkBounds) -> None:
        self.bounds = bounds
        self.counters = LinkCounters()
        self._prefix = f"{number:08x}-"
        self._accept: Accept | None = None
        self._links: dict[str, HttpLink] = {}
        self._clients = Census(bounds.per_client_max)
        self._last = 0
        self._draining = False
        self._emptied = trio.Event()

    def __len__(self) -> int:
        return len(self._links)

    @property
    def queued_bytes(self) -> int:
        return sum(link.queued_bytes for link in self._links.values())

    async def serve(self, accept: Accept, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Opens links for `accept`'s sessions until cancelled; then all are over at once."""
        self._accept, self._draining = accept, False
        try:
            task_status.started()
            while True:
                await trio.sleep(TICK_S)
                now = trio.current_time()
                for link in list(self._links.values()):
                    link.tick(now)
        finally:
            self._accept = None
            for link in list(self._links.values()):
                link.close(1001, "the server stops")
                link.end()

    async def drain(self, grace_s: float, code: int = Code.DRAIN, reason: str = "this server is going away") -> None:
        """Opens no more, tells the sessions, and after `grace_s` closes what is left with `code`."""
        self._draining = True
        for link in list(self._links.values()):
            link.announce_drain(grace_s)
        with trio.move_on_after(grace_s):
            await self._wait_empty()
        for link in list(self._links.values()):
            link.close(int(code), reason)
        with trio.move_on_after(LAST_WORDS_S):
            await self._wait_empty()

    async def _wait_empty(self) -> None:
        while self._links:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def open(self, peer: Peer) -> tuple[HttpLink, str]:
        """A new link and its key. Raises `LinkRefused`."""
        if self._accept is None or self._draining:
            self.counters.refuse("draining")
            raise LinkRefused("this server takes no links now", busy=True)
        if len(self._links) >= self.bounds.links_max:
            self.counters.refuse("links")
            raise LinkRefused("too many links are open here", busy=True)
        if not self._clients.enter(peer.address):
            self.counters.refuse("per_client")
            raise LinkRefused(f"at most {self.bounds.per_client_max} links from one address", busy=False)
        self._last += 1
        key = secrets.token_hex(KEY_BYTES)
        link = HttpLink(f"{self._prefix}{self._last:x}", _digest(key), peer, self.bounds, self.counters, self._forget)
        self._links[link.name] = link
        self.counters.opened += 1
        link.attach(self._accept(link, peer))
        return link, key

    def is_ours(self, name: str) -> bool:
        """Whether the name is of this gateway."""
        return name.startswith(self._prefix)

    def find(self, name: str, key: str) -> HttpLink | None:
        """The link, if there is one and this is its key."""
        link = self._links.get(name)
        right = hmac.compare_digest(_digest(key), _NOBODY if link is None else link.digest)
        return link if right else None

    def _forget(self, link: HttpLink) -> None:
        del self._links[link.name]
        self._clients.leave(link.peer.address)
        if not self._links:
            self._emptied.set()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
