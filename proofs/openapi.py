"""`python -m proofs openapi`: does every route answer as its description says, whatever it is sent?

A server as `educonnect dev` runs it, without models; its own document (`/api/v1/openapi.json`) is read by schemathesis, which makes
requests that fit it, and requests that do not. They are asked by somebody who owns a community and may do everything on the platform, of
things that are there and of things that are not; then by a learner there, a stranger, another system with its key, and by nobody, of what
is theirs and what is not. Exit status 1: something was answered by a fault (5xx), or in a way that is not described:
a status, a type, a field or a shape. Each is named once, with the request that shows it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import hypothesis
import requests
import schemathesis
import trio
from msgspec import Struct
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.openapi_routes import DOCUMENT_PATH
from gateway.tokens import KeySet, generate_pem, load_pem
from persistence.bridge import Bridge, BridgeOptions
from proofs.matrixing.ground import Actor, Ground, Place
from proofs.matrixing.run import ENVIRONMENT
from proofs.matrixing.scene import settle
from proofs.matrixing.standing import Manner, Standing
from proofs.numbers import at_least_one
from proofs.rehearsal.run import unreported
from protocol.permissions import Permission, of_platform
from protocol.values import Role
from supervisors.dev import Installation
from supervisors.process import set_up_log
from supervisors.tree import running

EXAMPLES: Final = 2
KNOWN_SHARE: Final = 0.7
"""Of the requests that name something, so many name what is there."""
ANSWER_S: Final = 30.0
SOURCE: Final = "127.8.1.1"
CHECKS: Final = [status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]


@schemathesis.serializer("application/offset+octet-stream", "application/msgpack", "message/rfc822")
def _as_bytes(context: Any, value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


class Result(Struct):
    """What came out. `wrong`: by operation and title, the words of the first."""

    operations: int = 0
    requests: int = 0
    statuses: Counter[int] = Counter()
    wrong: dict[tuple[str, str], str] = {}


class Asking:
    """Somebody who asks everything; runs in a thread of its own."""

    def __init__(self, url: str, ground: Ground, place: Place, seed: int) -> None:
        self._url = url
        self._ground = ground
        self._place = place
        self._random = random.Random(seed)
        self._session = requests.Session()
        self._actor: Actor | None = None
        self._others: list[Actor] = []
        self._token = ""
        self._address = 0
        self.result = Result(statuses=Counter(), wrong={})

    def ask_all(self, examples: int, seed: int, only: str, say: Callable[[str], None]) -> None:
        """Every operation of the document, by requests that fit it and others that do not."""
        schema = schemathesis.openapi.from_dict(self._session.get(self._url + DOCUMENT_PATH, timeout=ANSWER_S).json())
        self._others = [trio.from_thread.run(self._ground.person, standing, self._place) for standing in _OTHERS]
        for operation in sorted((_must(found) for found in schema.get_all_operations()), key=lambda one: one.label):
            if only not in operation.label:
                continue
            self.result.operations += 1
            self._actor = trio.from_thread.run(self._ground.person, _EVERYTHING, self._place)
            self._log_in()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._ask(operation, mode, examples, seed)
            for other in self._others:
                self._actor = other
                self._log_in()
                self._ask(operation, GenerationMode.POSITIVE, 1, seed)
            say(operation.label)

    def _ask(self, operation: Any, mode: GenerationMode, examples: int, seed: int) -> None:
        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def try_one(case: Any) -> None:
            self._call(case)

        try:
            try_one()
        except hypothesis.errors.Unsatisfiable:
            # Nothing can be wrong with a request that takes nothing.
            if mode is GenerationMode.POSITIVE:
                raise

    def _call(self, case: Any) -> None:
        for name, known in self._known().items():
            if name in (case.path_parameters or {}) and self._random.random() < KNOWN_SHARE:
                case.path_parameters[name] = known
        self._address += 1
        address = f"10.{self._address >> 16 & 255}.{self._address >> 8 & 255}.{self._address & 255}"
        fields = {"X-Forwarded-For": address, "Authorization": f"Bearer {self._token}"}
        response = case.call(base_url=self._url, session=self._session, headers=fields, timeout=ANSWER_S, allow_redirects=False)
        self.result.requests += 1
        self.result.statuses[response.status_code] += 1
        label = case.operation.label
        if response.status_code >= 500 and response.status_code != 503:
            self._note(label, "a fault", case, response)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(label, failure.title, case, response, str(failure))
        if response.status_code == 401 and self._actor is not None and self._actor.standing.has_session:
            self._log_in()

    def _known(self) -> dict[str, int]:
        assert self._actor is not None
        place, device = self._place, self._actor.login.device
        return {"space": place.space, "stream": place.channel, "seq": place.message, "user": place.pupil.user, "device": device}

    def _log_in(self) -> None:
        assert self._actor is not None
        self._token = trio.from_thread.run(self._ground.fresh, self._actor).token

    def _note(self, label: str, title: str, case: Any, response: Any, words: str = "") -> None:
        if (label, title) not in self.result.wrong:
            said = response.content[:300].decode("utf-8", "replace")
            self.result.wrong[label, title] = f"{words}\n    {case.as_curl_command()[:600]}\n    {response.status_code} {said}"


_EVERYTHING: Final = Standing("everything", role=Role.OWNER, platform=frozenset(one for one in Permission if of_platform(one)))
_OTHERS: Final = (
    Standing("learner"),
    Standing("stranger", Manner.STRANGER),
    Standing("key", Manner.KEY, scopes=frozenset(one for one in Permission if not of_platform(one))),
    Standing("nobody", Manner.NOBODY),
)


def _must(found: Any) -> Any:
    """An operation that schemathesis could read. Raises what was wrong with its description."""
    return found.ok()


async def run(folder: Path, examples: int, seed: int, only: str, say: Callable[[str], None]) -> Result:
    """Against a server with its data in `folder`, which is to be empty."""
    installation = Installation(folder, port=0, gateways=1, environment=ENVIRONMENT)
    async with running(installation.spec(), report=unreported):
        bridge = Bridge(BridgeOptions(installation.dsn))
        async with trio.open_nursery() as everything:
            await everything.start(bridge.serve)
            ground = Ground(bridge, KeySet(load_pem(installation.key_file), lifetime_s=3600), KeySet(generate_pem()))
            port = int(installation.urls[0].rpartition(":")[2])
            async with settle(ground, port, SOURCE, foreign=False) as keeping:
                asking = Asking(installation.urls[0], ground, keeping.place, seed)
                await trio.to_thread.run_sync(asking.ask_all, examples, seed, only, say)
            everything.cancel_scope.cancel()
    return asking.result


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs openapi", description=__doc__)
    parser.add_argument("--examples", type=at_least_one, default=EXAMPLES, help="requests of each kind for each operation, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a word in the method or path of what is tried; everything, if none is given")
    arguments = parser.parse_args(argv)
    set_up_log("error", "console")
    folder = Path(tempfile.mkdtemp(prefix="educonnect-openapi-"))
    begun_s = time.monotonic()
    try:
        result = trio.run(run, folder, arguments.examples, arguments.seed, arguments.only, lambda line: None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(describe(result, time.monotonic() - begun_s))
    return 1 if result.wrong or not result.requests else 0


def describe(result: Result, took_s: float) -> str:
    """What came out, for people."""
    statuses = ", ".join(f"{count} of {status}" for status, count in sorted(result.statuses.items()))
    return "\n".join(
        [
            *(f"WRONG {label}: {title}: {words}" for (label, title), words in sorted(result.wrong.items())),
            f"answers    {statuses}",
            f"{result.operations} operations, {result.requests} requests in {took_s:.0f} s, {len(result.wrong)} not as described",
        ]
    )
