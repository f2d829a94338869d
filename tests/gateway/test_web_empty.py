"""An answer of nothing, through the whole of HTTP."""

from __future__ import annotations

import httpx
from quart import Response

from tests.gateway.public_port import open_port
from tests.gateway.web_world import World


async def test_an_answer_of_nothing_leaves_the_connection_whole() -> None:
    """Two routes made theirs of no bytes at all; each answer then broke its connection, and wrote a fault into the log."""
    world = World()

    @world.app.get("/nothing")
    async def nothing() -> Response:
        return Response(status=204)

    limits = httpx.Limits(max_connections=1)
    async with open_port(app=world.app) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port.number}", timeout=20, limits=limits) as client:
            ends = set()
            for _ in range(2):
                response = await client.get("/nothing")
                assert (response.status_code, response.content) == (204, b"")
                ends.add(response.extensions["network_stream"].get_extra_info("client_addr"))
            assert len(ends) == 1
