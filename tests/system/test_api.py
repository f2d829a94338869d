"""Communities and messages over HTTP, on the running system with two gateways: what integrations do, with nothing but requests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from tests.system.running import NAMES, PASSWORD, Dev

pytestmark = pytest.mark.xdist_group("system")


class Person:
    """An account, and requests in its name."""

    def __init__(self, http: httpx.AsyncClient, urls: list[str], session: dict[str, Any]) -> None:
        self._http = http
        self._urls = urls
        self._token = session["access_token"]
        self.user: int = session["user"]

    async def ask(self, method: str, path: str, body: object = None, *, gateway: int = 0, **fields: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}", **{name.replace("_", "-"): value for name, value in fields.items()}}
        return await self._http.request(method, f"{self._urls[gateway]}/api/v1{path}", json=body, headers=headers)

    async def do(self, method: str, path: str, body: object = None, **fields: Any) -> Any:
        answer = await self.ask(method, path, body, **fields)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


@asynccontextmanager
async def people(dev: Dev, count: int) -> AsyncIterator[list[Person]]:
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        found = []
        for _ in range(count):
            answer = await http.post(
                f"{dev.urls[0]}/api/v1/auth/register", json={"name": f"caller{next(NAMES)}-{os.getpid()}", "password": PASSWORD}
            )
            assert answer.status_code == 201, answer.text
            found.append(Person(http, dev.urls, answer.json()))
        yield found


async def place(person: Person) -> tuple[int, str]:
    """A community of theirs, and the path of its first channel's messages."""
    space = (await person.do("POST", "/communities", {"name": "A school", "open_to_all": False}))["community"]
    [channel] = (await person.do("GET", f"/communities/{space}"))["channels"]
    return space, f"/communities/{space}/channels/{channel['channel']}/messages"


async def test_what_is_said_edited_and_taken_back_by_requests_is_read_by_requests(dev: Dev) -> None:
    async with people(dev, 1) as [ada]:
        space, messages = await place(ada)
        first = (await ada.do("POST", messages, {"text": "good morning"}))["message"]
        second = (await ada.do("POST", messages, {"text": "a slip", "reply_to": first}))["message"]
        await ada.do("PUT", f"{messages}/{first}", {"text": "good evening"})
        await ada.do("DELETE", f"{messages}/{second}")
        page = await ada.do("GET", messages, gateway=1)
        assert [(one["message"], one["text"], one["edited"], one["deleted"]) for one in page["messages"]] == [
            (first, "good evening", True, False),
            (second, "", False, True),
        ]
        assert all(one["author"] == ada.user or one["deleted"] for one in page["messages"]) and page["upto"] == page["head"]
        assert (await ada.do("GET", f"{messages}?after={page['head']}"))["messages"] == []
        opened = (await ada.do("POST", f"/communities/{space}/channels", {"name": "maths", "write_roles": ["owner"]}))["channel"]
        assert opened in [one["channel"] for one in (await ada.do("GET", f"/communities/{space}"))["channels"]]
        assert [one["role"] for one in (await ada.do("GET", f"/communities/{space}/members"))["members"]] == ["owner"]


async def test_a_message_that_is_sent_again_with_its_key_is_said_once_whichever_gateway_hears_it(dev: Dev) -> None:
    async with people(dev, 2) as [ada, juma]:
        _, messages = await place(ada)
        told: list[int] = []

        async def say(gateway: int) -> None:
            told.append((await ada.do("POST", messages, {"text": "once"}, gateway=gateway, idempotency_key="k-1"))["message"])

        async with trio.open_nursery() as nursery:
            for attempt in range(6):
                nursery.start_soon(say, attempt % 2)
        assert len(set(told)) == 1 and len(told) == 6
        other = await ada.ask("POST", messages, {"text": "something else"}, idempotency_key="k-1")
        assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
        assert [one["text"] for one in (await ada.do("GET", messages))["messages"]] == ["once"]
        # Another account's key of the same words is another key.
        _, elsewhere = await place(juma)
        await juma.do("POST", elsewhere, {"text": "mine"}, idempotency_key="k-1")
        assert [one["text"] for one in (await juma.do("GET", elsewhere))["messages"]] == ["mine"]
        assert len((await ada.do("GET", "/account/devices"))["devices"]) == 1, "a key is no device of a person's"
        assert (await ada.ask("POST", messages, {"text": "once"}, idempotency_key="two words")).status_code == 400


async def test_whoever_is_no_member_finds_nothing_and_no_path_reaches_into_another_community(dev: Dev) -> None:
    async with people(dev, 2) as [ada, eve]:
        space, messages = await place(ada)
        seq = (await ada.do("POST", messages, {"text": "among us"}))["message"]
        own, _ = await place(eve)
        channel = messages.split("/")[4]
        for path in (messages, f"/communities/{own}/channels/{channel}/messages"):
            assert (await eve.ask("GET", path)).status_code == 404
            assert (await eve.ask("POST", path, {"text": "let me in"})).status_code == 404
            assert (await eve.ask("PUT", f"{path}/{seq}", {"text": "mine now"})).status_code == 404
            assert (await eve.ask("DELETE", f"{path}/{seq}")).status_code == 404
        for path in ("", "/members"):
            assert (await eve.ask("GET", f"/communities/{space}{path}")).status_code == 404
        assert [one["text"] for one in (await ada.do("GET", messages))["messages"]] == ["among us"]


async def test_what_has_not_changed_is_not_sent_again(dev: Dev) -> None:
    async with people(dev, 1) as [ada]:
        _, messages = await place(ada)
        await ada.do("POST", messages, {"text": "one"})
        first = await ada.ask("GET", messages)
        same = await ada.ask("GET", messages, if_none_match=first.headers["etag"])
        assert (same.status_code, same.content) == (304, b"")
        await ada.do("POST", messages, {"text": "two"})
        assert (await ada.ask("GET", messages, if_none_match=first.headers["etag"])).status_code == 200
