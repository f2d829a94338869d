"""tus over HTTP, links, and what an attacker does with either."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from gateway.web_bounds import BoundedRequest
from gateway.web_streaming import WAITING_BYTES_MAX, PacedConnection
from gateway.web_uploads_links import Files, MediaLinks
from persistence.bridge import Bridge
from persistence.uploads.rules import FINISH, UploadRules
from protocol.codes import Code
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.gateway.web_world import Answer, World
from tests.persistence.uploads.desk import Desk, noise

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]

KEY, OTHER = b"k" * 32, b"o" * 32
NOW = 1_800_000_000.0
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


class Web:
    """Two people, and the routes about files."""

    def __init__(self, world: World, desk: Desk, tokens: list[str]) -> None:
        self.world, self.desk, self.tokens = world, desk, tokens

    async def ask(
        self, method: str, path: str = "", fields: dict[str, str] | None = None, raw: bytes | None = None, who: int = 0
    ) -> Answer:
        return await self.world.ask(method, f"/api/v1/uploads{path}", raw=raw, headers=fields or TUS, token=self.tokens[who])

    async def create(self, size: int, **metadata: bytes) -> str:
        pairs = ",".join(f"{name} {base64.b64encode(value).decode()}" for name, value in metadata.items())
        answer = await self.ask("POST", "", {**TUS, "Upload-Length": str(size), "Upload-Metadata": pairs})
        assert answer.status == 201, answer.body
        return str(answer.headers["Location"]).removeprefix("/api/v1/uploads")


@pytest.fixture
async def web(bridge: Bridge, tmp_path: Path) -> AsyncIterator[Web]:
    desk = Desk(bridge, tmp_path, UploadRules(bytes_max=100_000, person_bytes_max=150_000))
    world = World(files=Files(desk.uploads, MediaLinks([KEY])))
    yield Web(world, desk, [(await world.register(name))["access_token"] for name in ("ada", "eve")])


async def test_what_is_spoken_here_is_said_to_anybody(web: Web) -> None:
    answer = await web.world.ask("OPTIONS", "/api/v1/uploads")
    assert answer.status == 204 and answer.headers["Tus-Max-Size"] == "100000"
    assert (answer.headers["Tus-Version"], answer.headers["Tus-Resumable"]) == ("1.0.0", "1.0.0")
    assert set(answer.headers["Tus-Extension"].split(",")) == {"creation", "creation-with-upload", "checksum", "expiration", "termination"}


async def test_an_upload_goes_on_where_it_says_that_it_does(web: Web) -> None:
    raw = noise(3_000)
    path = await web.create(len(raw), filename="caf\u00e9.bin".encode(), sha256=hashlib.sha256(raw).hexdigest().encode())
    assert (await web.ask("HEAD", path)).headers["Upload-Offset"] == "0"
    first = await web.ask("PATCH", path, {**BYTES, "Upload-Offset": "0"}, raw[:1_000])
    assert (first.status, first.headers["Upload-Offset"]) == (204, "1000") and first.headers["Upload-Expires"].endswith("GMT")
    wrong = await web.ask("PATCH", path, {**BYTES, "Upload-Offset": "0"}, raw[:1_000])
    wrong.problem(409, Code.CONFLICT)
    assert wrong.headers["Upload-Offset"] == "1000"
    head = await web.ask("HEAD", path)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"], head.headers["Cache-Control"]) == ("1000", "3000", "no-store")
    bad = {**BYTES, "Upload-Offset": "1000", "Upload-Checksum": f"sha256 {base64.b64encode(bytes(32)).decode()}"}
    (await web.ask("PATCH", path, bad, raw[1_000:])).problem(460, Code.INVALID)
    good = {**bad, "Upload-Checksum": f"sha256 {base64.b64encode(hashlib.sha256(raw[1_000:]).digest()).decode()}"}
    assert (await web.ask("PATCH", path, good, raw[1_000:])).headers["Upload-Offset"] == "3000"
    await web.desk.do_jobs(FINISH)
    told = (await web.ask("GET", path)).json
    assert (told["state"], told["name"], told["sha256"]) == (3, "caf\u00e9.bin", hashlib.sha256(raw).hexdigest())
    listed = (await web.ask("GET")).json
    assert [one["id"] for one in listed["uploads"]] == [told["id"]] and listed["room"] == {"taken_bytes": 3_000, "bytes_max": 150_000}
    assert (await web.ask("DELETE", path)).status == 204
    (await web.ask("HEAD", path)).headers["Tus-Resumable"]
    (await web.ask("GET", path)).problem(404, Code.NOT_FOUND)


async def test_a_file_may_come_with_its_first_request(web: Web) -> None:
    answer = await web.ask("POST", "", {**BYTES, "Upload-Length": "5"}, b"hello")
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "5")


@pytest.mark.parametrize(
    ("method", "fields", "raw", "status"),
    [
        ("POST", {"Upload-Length": "5"}, None, 412),
        ("POST", {**TUS}, None, 400),
        ("POST", {**TUS, "Upload-Length": "-5"}, None, 400),
        ("POST", {**TUS, "Upload-Length": "9" * 40}, None, 400),
        ("POST", {**TUS, "Upload-Length": "100001"}, None, 413),
        ("POST", {**TUS, "Upload-Defer-Length": "1"}, None, 400),
        ("POST", {**TUS, "Upload-Length": "5", "Upload-Metadata": "filename !!"}, None, 400),
        ("POST", {**TUS, "Upload-Length": "5", "Upload-Metadata": "sha256 AAAA"}, None, 400),
        ("POST", {**TUS, "Upload-Length": "5"}, b"hello", 415),
        ("PATCH", {**TUS, "Upload-Offset": "0"}, b"hello", 415),
        ("PATCH", {**BYTES}, b"hello", 400),
        ("PATCH", {**BYTES, "Upload-Offset": "0", "Upload-Checksum": "crc32 AAAA"}, b"hello", 400),
        ("PATCH", {**BYTES, "Upload-Offset": "0"}, b"x" * 300_000, 413),
    ],
)
async def test_what_is_not_as_tus_has_it_is_refused_in_words(
    web: Web, method: str, fields: dict[str, str], raw: bytes | None, status: int
) -> None:
    path = await web.create(50_000) if method == "PATCH" else ""
    answer = await web.ask(method, path, fields, raw)
    assert answer.status == status, answer.body
    assert answer.json["detail"] and answer.headers["Tus-Resumable"] == "1.0.0"


async def test_of_anothers_upload_one_is_told_what_one_is_told_of_none(web: Web) -> None:
    path = await web.create(5)
    for method, fields, raw in (("GET", TUS, None), ("PATCH", {**BYTES, "Upload-Offset": "0"}, b"hello"), ("DELETE", TUS, None)):
        theirs, none = [await web.ask(method, which, fields, raw, who=1) for which in (path, "/99999")]
        assert (theirs.status, theirs.body) == (none.status, none.body) and theirs.status == 404
        assert (await web.world.ask(method, f"/api/v1/uploads{path}", raw=raw, headers=fields)).status == 401


Named = tuple[bytes, str, int, int]
PATHS: st.SearchStrategy[Named] = st.tuples(
    st.binary(min_size=32, max_size=32), st.sampled_from(["original", "160.webp"]), st.integers(1, 99), st.integers(1, 10**10)
)


@given(PATHS, PATHS, st.sampled_from([KEY, OTHER]))
def test_a_link_is_good_for_what_it_was_made_for_and_nothing_else(made: Named, tried: Named, key: bytes) -> None:
    signature = MediaLinks([KEY]).sign(*made).rpartition("sig=")[2]

    def opens(links: MediaLinks, named: Named, shown: str, now: float) -> bool:
        sha256, rendition, upload, until = named
        return links.verify(sha256, rendition, upload, until, shown, now)

    assert opens(MediaLinks([key]), tried, signature, 0.0) == (made == tried and key == KEY)
    assert opens(MediaLinks([key]), made, signature, 0.0) == (key == KEY)
    assert opens(MediaLinks([OTHER, KEY]), made, signature, made[3] - 1.0), "a key that signs no more still opens"
    assert not opens(MediaLinks([KEY]), made, signature, float(made[3])), "its time is over"
    assert not opens(MediaLinks([KEY]), made, "", 0.0) and not opens(MediaLinks([KEY]), made, "\u20ac" + signature, 0.0)


@given(st.floats(min_value=0, max_value=4e9))
def test_links_of_the_same_while_are_the_same_and_live_for_a_while(now: float) -> None:
    links = MediaLinks([KEY], 900.0)
    assert 900 <= links.until(now) - now <= 1_800


async def test_a_name_forges_no_field_and_a_file_is_no_page_of_ours(web: Web) -> None:
    user = next(iter(web.world.memory.people))
    sent = await web.desk.ready(user, b"%PDF-1.7 words", 'x"; filename="evil.html\r\nSet-Cookie: a=b \u202efdp.\u00e9')
    url = MediaLinks([KEY]).sign(bytes.fromhex(sent.sha256), "original", sent.id, int(web.world.now) + 60)
    answer = await web.world.ask("GET", url)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"%PDF-1.7 words", "application/pdf")
    assert "Set-Cookie" not in answer.headers
    assert (
        answer.headers["Content-Disposition"].startswith('attachment; filename="') and answer.headers["Content-Disposition"].count('"') == 2
    )
    assert "sandbox" in answer.headers["Content-Security-Policy"] and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    for wrong in (
        url[:-1],
        url.replace("/original", "/160.webp"),
        url.replace("of=", "of=1"),
        url.replace("until=1", "until=2"),
        "/media/x/y",
    ):
        (await web.world.ask("GET", wrong)).problem(404, Code.NOT_FOUND)


async def test_of_a_body_no_more_is_in_memory_than_waits_to_be_kept() -> None:
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 65_536
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    async def refuse(*_: object) -> None:
        raise AssertionError

    made = BoundedRequest("PATCH", "http", "/api/v1/uploads/7", b"", Headers(), "", "1.1", {}, send_push_promise=refuse)
    connection: Any = PacedConnection.__new__(PacedConnection)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.handle_messages, nursery, made, receive)
        await trio.testing.wait_all_tasks_blocked()
        assert taken == WAITING_BYTES_MAX + 65_536
        assert len(await anext(aiter(made.body))) == taken
        await trio.testing.wait_all_tasks_blocked()
        assert taken == 2 * (WAITING_BYTES_MAX + 65_536), "whoever takes some lets some in"
        nursery.cancel_scope.cancel()
