"""Trust over HTTP: told to its owner alone; seeds are named by who may manage the platform's roles; the sync door is no way around."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.accounts import Caller, Claims
from actors.storage import Borrow, Refusal
from actors.trust import History, parts
from actors.trust_book import Seed, SeedPage
from actors.trust_gates import Thresholds
from actors.trust_words import Circumstances, Explained, explain
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import Mutate
from protocol.operations import Say
from protocol.permissions import Permission
from tests.gateway.test_web_sync import Scene
from tests.gateway.web_world import World


class Book:
    """Trust in memory."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.named: set[int] = set()

    async def explain(self, user: int) -> Explained | None:
        self.asked.append(user)
        return explain(parts(History(20_000), 20_000), Circumstances(), Thresholds())

    async def list_seeds(self, after: int) -> SeedPage:
        return SeedPage(tuple(Seed(user, "Ada", 1, 2) for user in sorted(self.named) if user > after), False)

    async def name_seed(self, claims: Claims, user: int, caller: Caller) -> bool:
        if user > 1000:
            return False
        self.named.add(user)
        return True

    async def unname_seed(self, claims: Claims, user: int, caller: Caller) -> bool:
        if user not in self.named:
            return False
        self.named.remove(user)
        return True


async def begin() -> tuple[World, Book, dict[str, Any]]:
    book = Book()
    world = World(trust=book)
    return world, book, await world.register()


async def test_everybody_is_told_their_own_trust_and_nobody_elses() -> None:
    world, book, session = await begin()
    answer = await world.ask("GET", "/api/v1/trust", token=session["access_token"])
    told = msgspec.json.decode(answer.body)
    assert answer.status == 200 and told["trust"] == 0.2
    assert [part["name"] for part in told["parts"]] == ["start", "address", "time", "vouched", "deeds"]
    assert all(door["words"] for door in told["doors"])
    assert book.asked == [session["user"]]
    assert (await world.ask("GET", "/api/v1/trust")).status == 401
    assert (await world.ask("GET", f"/api/v1/trust/{session['user']}", token=session["access_token"])).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_seeds_are_not_named_by_whoever_likes(method: str) -> None:
    world, book, session = await begin()
    book.named = {7}
    answer = await world.ask(method, "/api/v1/trust/seeds/7", token=session["access_token"])
    assert answer.status == 403 and book.named == {7}
    assert (await world.ask("GET", "/api/v1/trust/seeds", token=session["access_token"])).status == 403


async def test_who_may_manage_the_platforms_roles_names_seeds_and_takes_it_back() -> None:
    world, book, session = await begin()
    token = session["access_token"]
    world.authority.held.add((session["user"], Permission.MANAGE_PLATFORM_ROLES, None))
    assert (await world.ask("PUT", "/api/v1/trust/seeds/7", token=token)).status == 204
    listed = msgspec.json.decode((await world.ask("GET", "/api/v1/trust/seeds", token=token)).body)
    assert [seed["user"] for seed in listed["seeds"]] == [7]
    assert (await world.ask("GET", "/api/v1/trust/seeds?after=x", token=token)).status == 400
    assert (await world.ask("DELETE", "/api/v1/trust/seeds/7", token=token)).status == 204
    assert (await world.ask("DELETE", "/api/v1/trust/seeds/7", token=token)).status == 404
    assert (await world.ask("PUT", "/api/v1/trust/seeds/7000", token=token)).status == 404
    assert not book.named


async def test_the_sync_door_asks_for_the_same_trust_as_the_socket() -> None:
    scene = await Scene().begin()
    link = Mutate(1, msgspec.Raw(encode(Say(60, "https://spam.example"))))
    await scene.sync(link)
    [entry] = scene.storage.entries
    assert isinstance(entry.operation, Refusal) and entry.operation.code is Code.TRUST
    borrowed = scene.storage.answers[Borrow]
    scene.storage.answers[Borrow] = msgspec.structs.replace(borrowed, trust=0.5)  # type: ignore[type-var]
    await scene.sync(link)
    assert isinstance(scene.storage.entries[1].operation, Say)
