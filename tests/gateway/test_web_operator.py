"""The operator's routes: for who may operate the platform and nobody else, strict in what they take, and without payloads."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import msgspec
import pytest

from actors.job_desk import Cancelled, JobsWanted, JobView, KindFigures, RegionFigures, ScheduleView
from gateway.models import ModelFigures
from gateway.operator_page import SCRIPT
from gateway.web import create_app
from protocol.codes import Code
from protocol.permissions import Permission
from tests.gateway.web_world import ADDRESS, World

PATH = "/api/v1/operator/jobs"
JOB = JobView(7, "mail.send", "dead", 0, "", 0, 12, 1.0, 2.0, 0.0, "", 0, 0, "", "failed too often", "OSError: away", 99, "key")
MODEL = ModelFigures("moderation", "fails", "open for 2.4 s more", 3, 50, 40, 1, {"broken": 7})


class KeptDesk:
    """A desk with one dead letter, which keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[JobsWanted] = []
        self.done: list[tuple[str, Any, int, str]] = []

    async def overview(self) -> list[KindFigures]:
        return [KindFigures("mail.send", dead=1)]

    async def find(self, wanted: JobsWanted) -> list[JobView]:
        self.asked.append(wanted)
        return [JOB]

    async def show(self, id: int) -> JobView | None:
        return JOB if id == JOB.id else None

    async def schedules(self) -> list[ScheduleView]:
        return [ScheduleView("sweep", "housekeeping.sweep", "every 3600 s", 5.0, 4.0, 3, 0, 4.5, "")]

    async def unserved(self) -> list[RegionFigures]:
        return [RegionFigures("ke", 3, 60.0)]

    async def retry(self, ids: list[int], *, actor: int = 0, address: str = "") -> int:
        self.done.append(("retry", ids, actor, address))
        return sum(id == JOB.id for id in ids)

    async def retry_kind(self, kind: str, *, actor: int = 0, address: str = "") -> int:
        self.done.append(("retry_kind", kind, actor, address))
        return 1

    async def cancel(self, id: int, *, actor: int = 0, address: str = "") -> Cancelled:
        self.done.append(("cancel", id, actor, address))
        return "forgotten" if id == JOB.id else "unknown"


class OperatorWorld(World):
    """A world with a desk, and an account that may operate."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = KeptDesk()
        self.app = create_app(msgspec.structs.replace(self.services, desk=self.desk, models=lambda: [MODEL]))

    async def operator(self) -> tuple[int, str]:
        session = await self.register("grace")
        self.authority.held.add((session["user"], Permission.OPERATE, None))
        return session["user"], session["access_token"]


ROUTES = [("GET", PATH), ("GET", f"{PATH}/7"), ("POST", f"{PATH}/7/retry"), ("POST", f"{PATH}/7/cancel"), ("POST", f"{PATH}/retry")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_nobody_but_an_operator_sees_or_does_anything(method: str, path: str) -> None:
    world = OperatorWorld()
    body = {"kind": "mail.send"} if path.endswith("jobs/retry") else None
    (await world.ask(method, path, body)).problem(401, Code.UNAUTHENTICATED)
    token = (await world.register())["access_token"]
    (await world.ask(method, path, body, token=token)).problem(403, Code.FORBIDDEN)
    assert (world.desk.asked, world.desk.done) == ([], [])
    _, token = await world.operator()
    assert (await world.ask(method, path, body, token=token)).status == 200


async def test_an_operator_sees_queues_schedules_and_failures_and_no_payload() -> None:
    world = OperatorWorld()
    _, token = await world.operator()
    told = (await world.ask("GET", f"{PATH}?kind=mail.send&state=dead&before=9&limit=3", token=token)).json
    assert world.desk.asked == [JobsWanted("mail.send", "dead", 9, 3)]
    assert [one["dead"] for one in told["kinds"]] == [1]
    assert [one["timing"] for one in told["schedules"]] == ["every 3600 s"]
    assert [one["error"] for one in told["jobs"]] == ["OSError: away"]
    assert "payload" not in {name for one in told["jobs"] for name in one}
    assert told["models"] == [msgspec.to_builtins(MODEL)], "whether each is asked, whether it fails, and what is under way"


@pytest.mark.parametrize("query", ["state=lost", "limit=0", "limit=201", "limit=many", "before=x", "color=red"])
async def test_a_query_that_cannot_be_is_refused_with_what_is_allowed(query: str) -> None:
    world = OperatorWorld()
    _, token = await world.operator()
    problem = (await world.ask("GET", f"{PATH}?{query}", token=token)).problem(400, Code.INVALID)
    assert "limit" in problem["detail"]
    assert world.desk.asked == []


async def test_what_an_operator_does_is_done_in_their_name() -> None:
    world = OperatorWorld()
    user, token = await world.operator()
    assert (await world.ask("POST", f"{PATH}/7/retry", token=token)).json == {"count": 1}
    assert (await world.ask("POST", f"{PATH}/7/cancel", token=token)).json == {"cancelled": "forgotten"}
    assert (await world.ask("POST", f"{PATH}/retry", {"kind": "mail.send"}, token=token)).json == {"count": 1}
    assert world.desk.done == [
        ("retry", [7], user, ADDRESS),
        ("cancel", 7, user, ADDRESS),
        ("retry_kind", "mail.send", user, ADDRESS),
    ]


@pytest.mark.parametrize("path", [f"{PATH}/8", f"{PATH}/0", f"{PATH}/{2**63}"])
async def test_a_job_that_is_not_there_is_not_found(path: str) -> None:
    world = OperatorWorld()
    _, token = await world.operator()
    (await world.ask("GET", path, token=token)).problem(404, Code.NOT_FOUND)
    (await world.ask("POST", f"{path}/cancel", token=token)).problem(404, Code.NOT_FOUND)
    (await world.ask("POST", f"{path}/retry", token=token)).problem(404, Code.NOT_FOUND)


async def test_the_page_holds_no_data_and_lets_no_script_run_but_its_own() -> None:
    world = OperatorWorld()
    answer = await world.ask("GET", "/operator")
    assert answer.status == 200
    page, policy = answer.body.decode(), answer.headers["Content-Security-Policy"]
    assert "mail.send" not in page
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script == SCRIPT
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "innerHTML" not in page
