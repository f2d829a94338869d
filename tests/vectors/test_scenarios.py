"""The scenarios of sync, played to the Python client: what it sends, keeps and shows is what any client is to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from client.exchange import Exchange
from client.sqlite_store import SqliteStore
from protocol import codec
from protocol.chunks import expand
from protocol.entities import write_fields
from protocol.frames import Chunk, Limits, Mutate, Welcome
from protocol.schema import describe
from tests.protocol.files import ROOT
from tests.protocol.test_vectors import as_json, as_msgpack

SCENARIOS: list[dict[str, Any]] = json.loads((ROOT / "tests/vectors/sync.json").read_text("utf-8"))["scenarios"]
STEPS: dict[str, str] = json.loads((ROOT / "tests/vectors/sync.json").read_text("utf-8"))["steps"]
NAMES = {form.tag: form.name for form in describe().commands}
T = 1_800_000_000
DEVICE, USER, INBOX = 7, 5, 2
LIMITS = Limits(65_536, 256, 500)


class Player:
    """Plays a scenario's steps to one client, and is its server."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "store"
        self._store = SqliteStore(self._path)
        self._client = self._start()
        self._connected = False
        self._uploads: list[Any] = []
        self._asks: list[Any] = []
        self._requests: list[Any] = []

    def _start(self) -> Exchange:
        return Exchange(self._store, DEVICE, lambda: float(T), lambda: 0.5)

    def close(self) -> None:
        self._store.close()

    def play(self, step: dict[str, Any]) -> None:
        [(kind, what)] = step.items()
        match kind:
            case "put":
                fields = fields_of(what["fields"])
                change = self._client.replica.change(what["stream"], what["entity"], what["key"], fields, gone=what["gone"], at=what["at"])
                self._client.submit(change, None, None)
            case "connect":
                self._connect(what["last_number"], what["epoch"])
            case "hears":
                for frame in what:
                    self._client.hear(codec.decode_frame(msgpack.packb([as_msgpack(self._resolve(field)) for field in frame])))
                    self._listen()
            case "cut":
                self._client.cut()
                self._connected = False
            case "restart":
                self._store.close()
                self._store = SqliteStore(self._path)
                self._client = self._start()
                self._connected = False
            case "uploads":
                assert self._uploads == what
                self._uploads = []
            case "asks":
                for wanted in what:
                    assert any(asked[: len(wanted)] == wanted for asked in self._asks), f"{wanted} is not among {self._asks}"
                self._asks = []
            case "asks_no":
                assert what not in [asked[0] for asked in self._asks]
                self._asks = []
            case "view":
                view = self._client.replica.view(what["stream"], what["entity"], what["key"])
                seen = as_json(msgpack.unpackb(bytes(write_fields(view.fields)), strict_map_key=False)) if view.exists else None
                assert (seen, view.version, len(view.pending)) == (what["fields"], what["version"], what["pending"])
            case "cursor":
                stream, seq = what
                assert self._client.streams.positions.cursor(stream) == seq
                assert self._store.load().cursors.get(stream) == seq
            case "pending":
                assert self._client.mutations.upload.pending == what
            case "failed":
                failed = self._client.mutations.unapplied()
                assert [[operation_of(one.operation), one.code] for one in failed] == what
            case other:
                raise AssertionError(f"no such step: {other}")
        self._listen()

    def _connect(self, last_number: int, epoch: int) -> None:
        """As a session does: cursors with Hello, then what Welcome says of the epoch."""
        self._client.hello_cursors()
        reset = self._client.epoch not in (0, epoch)
        welcome = Welcome(1, 9, USER, INBOX, last_number, epoch, T * 1000, 45, T + 900, LIMITS)
        self._client.welcome(welcome, reset)
        self._connected = True

    def _listen(self) -> None:
        """Takes all that the client has to say."""
        while self._connected and (said := self._client.collect()):
            for raw in said:
                command = codec.decode_command(raw)
                match command:
                    case Chunk():
                        for number, operation in enumerate(expand(command), command.number):
                            assert isinstance(operation, bytes)
                            self._uploads.append([number, operation_of(operation)])
                    case Mutate():
                        self._uploads.append([command.number, operation_of(bytes(command.operation))])
                    case _:
                        tag, id, *fields = msgpack.unpackb(raw)
                        self._asks.append([NAMES[tag], *fields])
                        self._requests.append([id, NAMES[tag], *fields])

    def _resolve(self, field: Any) -> Any:
        """The id of the last such request."""
        if isinstance(field, dict) and "id_of" in field:
            wanted = field["id_of"]
            found = [request[0] for request in self._requests if request[1 : 1 + len(wanted)] == wanted]
            assert found, f"{wanted} was never asked for: {self._requests}"
            return found[-1]
        return field


def fields_of(value: Any) -> dict[int, Any]:
    return {number: tuple(item) if isinstance(item, list) else item for number, item in value["map"]}


def operation_of(operation: bytes) -> Any:
    return as_json(msgpack.unpackb(operation, strict_map_key=False))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
async def test_the_client_does_what_the_scenario_says(scenario: dict[str, Any], tmp_path: Path) -> None:
    player = Player(tmp_path)
    try:
        for at, step in enumerate(scenario["steps"]):
            try:
                player.play(step)
            except AssertionError as wrong:
                raise AssertionError(f"step {at}, {json.dumps(step, ensure_ascii=False)[:300]}: {wrong}") from None
    finally:
        player.close()


def test_every_kind_of_step_is_played_and_explained() -> None:
    assert {kind for scenario in SCENARIOS for step in scenario["steps"] for kind in step} == set(STEPS)
