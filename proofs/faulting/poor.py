"""A group of clients behind a bad radio link: 50 kbit/s, 800 ms, 2 % of all packets lost, in a network of its own.

    crew (client's namespace) ─▶ TUN ─▶ link ─▶ TUN ─▶ proxy (server's namespace) ─unix socket─▶ the gateways' seams

Needs the right to make network namespaces (root) and /dev/net/tun; without it there is no such group, and the run says so.

Invariant: namespaces, devices and processes of the link end with the block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.link import Link, LinkMissing, open_link
from bench.link_model import Conditions
from bench.link_relay import SERVER_ADDRESS
from proofs.faulting import seams
from proofs.faulting.seams import Seam
from proofs.faulting.steering import steered

PORT = 8000
NEVER_S = 1e9


class Poor:
    """The link, and where the gateways are on it."""

    def __init__(self, link: Link, places: Sequence[tuple[str, int]], seed: int) -> None:
        self._link = link
        self._seed = seed
        self.places = tuple(places)

    @property
    def before(self) -> list[str]:
        """What to put before a command that is to run at the clients' end."""
        return self._link.in_client([])

    async def cut(self, gone: bool) -> None:
        """Takes the link away in silence, or gives it back."""
        self._seed += 1
        conditions = Conditions(seed=self._seed, cut_every_s=1e-6 if gone else 0, cut_s=NEVER_S, resets=False)
        await self._link.begin(conditions)


@asynccontextmanager
async def open_poor(doors: Sequence[Path], folder: Path, seed: int) -> AsyncIterator[Poor | str]:
    """The link to these unix sockets, one a gateway; or why there is none here."""
    try:
        opening = open_link()
        link = await opening.__aenter__()
    except (LinkMissing, OSError) as missing:
        yield str(missing)
        return
    try:
        await link.begin(Conditions(seed=seed))
        async with steered("poor-seams", "proofs.faulting.seams", seams.Answer, folder, before=link.in_server([])) as proxy:
            places = [(SERVER_ADDRESS, PORT + number) for number in range(len(doors))]
            pairs = zip(doors, places, strict=True)
            made = tuple(Seam(f"poor-{port}", f"{host}:{port}", str(door)) for door, (host, port) in pairs)
            await proxy.ask(seams.Order(open=made))
            yield Poor(link, places, seed)
    finally:
        await opening.__aexit__(None, None, None)
