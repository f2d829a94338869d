"""Search over two gateways of a running system: what somebody says by one is found by the other, until it is taken back."""

from __future__ import annotations

import httpx
import pytest
import trio

from client import Session, connect
from client.errors import RequestFailed
from protocol.codes import Code
from protocol.operations import Delete, Edit, Say
from protocol.values import Role
from tests.system.running import Dev, community, register
from tests.system.test_api import people, place

pytestmark = pytest.mark.xdist_group("system")


async def found(session: Session, words: str, *, count: int = 1) -> list[str]:
    """What is found once it is so many; the index is seconds behind."""
    with trio.fail_after(60):
        while True:
            texts = ["".join(one.excerpt) for one in (await session.find(words)).messages]
            if len(texts) == count:
                return texts
            await trio.sleep(1.0)


async def test_what_is_said_by_one_gateway_is_found_by_the_other_as_it_reads_now(dev: Dev) -> None:
    here, there = dev.urls
    async with (
        connect(there, await register(there)) as author,
        connect(here, await register(here)) as stranger,
        community(here, (author, Role.LEARNER)) as (owner, space, general),
    ):
        said = await author.do(Say(general, "the photosynthesis of ferns"))
        assert await found(owner, "photosynthesis") == ["the photosynthesis of ferns"]
        assert await found(owner, "fotosynthesis") == ["the photosynthesis of ferns"]
        page = await owner.find("ferns", space=space, stream=general)
        assert [(one.space, one.stream, one.seq, one.author) for one in page.messages] == [(space, general, said, author.user)]
        assert page.next == b""
        assert (await stranger.find("photosynthesis")).messages == ()
        with pytest.raises(RequestFailed) as refused:
            await stranger.find("photosynthesis", space=space)
        assert refused.value.code == Code.NOT_FOUND
        await author.do(Edit(general, said, "the photosynthesis of moss"))
        assert (await owner.find("ferns")).messages == ()
        assert await found(owner, "moss") == ["the photosynthesis of moss"]
        await author.do(Delete(general, said))
        assert (await owner.find("photosynthesis")).messages == ()


async def test_requests_find_the_same_page_by_page(dev: Dev) -> None:
    async with people(dev, 2) as [ada, ben]:
        space, messages = await place(ada)
        for n in range(3):
            await ada.do("POST", messages, {"text": f"volcano number {n}"})

        with trio.fail_after(60):
            while len((await ada.do("GET", "/search?words=volcano"))["messages"]) < 3:  # noqa: ASYNC110 (it has no event)
                await trio.sleep(1.0)
        first = await ada.do("GET", f"/communities/{space}/search?words=volcano&limit=2")
        rest = await ada.do("GET", f"/communities/{space}/search?words=volcano&limit=2&after={first['next']}")
        told = first["messages"] + rest["messages"]
        assert ["".join(piece["text"] for piece in one["excerpt"]) for one in told] == [f"volcano number {n}" for n in (2, 1, 0)]
        assert told[0]["excerpt"][0] == {"text": "volcano", "marked": True} and rest["next"] == ""
        assert (await ben.do("GET", "/search?words=volcano"))["messages"] == []
        foreign: httpx.Response = await ben.ask("GET", f"/communities/{space}/search?words=volcano")
        assert foreign.status_code == 404
        for wrong in ("", "?words=", "?words=a&after=!!", "?words=a&after=AAAA", "?words=%00", "?words=a&limit=51", f"?words={'a' * 201}"):
            assert (await ada.ask("GET", f"/search{wrong}")).status_code == 400, wrong
