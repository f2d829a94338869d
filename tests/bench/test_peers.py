"""Every peer is driven and checked like ours: small runs of the measures that have several. No times are asserted here."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn, cast

import pytest

from bench import fanout, inbound, pair
from bench.beside import compare
from bench.figures import Goal, Measured
from bench.generator import CompilerMissing, GeneratorFailed, Report, compile_generator
from bench.ours import Ours
from bench.peer import PeerMissing, install
from bench.peer_nats import Pinned, install_nats, nats_name, pinned
from bench.peer_plain import FLOOR, FLOOR_NAME, install_uws, uws_name
from bench.stage import OTHERS, Options, Spent, Stage, System
from tests import needs

QUICK = Options(rounds=1, quick=True)


@pytest.fixture(scope="module")
def peers() -> None:
    """All of them, installed."""
    try:
        compile_generator()
        compile_generator(FLOOR)
        install()
        install_uws()
        install_nats()
    except (CompilerMissing, PeerMissing) as missing:
        needs.refuse(f"{missing} (the benchmarks' peers)")


def names(measured: list[Measured]) -> list[str]:
    return [str(one.peer).partition(" 8")[0].partition(" 4")[0] for one in measured]


@pytest.mark.usefixtures("peers")
async def test_fan_out_is_measured_beside_every_peer() -> None:
    said: list[str] = []
    measured = await fanout.measure(QUICK, said.append)
    durable, *ephemeral = names(measured[: 1 + 1 + len(OTHERS)])
    assert durable == "Socket.IO"
    assert ephemeral == ["Socket.IO", uws_name(), nats_name(), "node ws", FLOOR_NAME]
    assert len(measured) == 2 * (2 + len(OTHERS)) and all(one.ratio is not None for one in measured)
    assert sum("checked in" in line for line in said) == 2 * (2 + 2 + len(OTHERS))


@pytest.mark.usefixtures("peers")
async def test_pairs_and_questions_are_measured_beside_those_that_have_them() -> None:
    one, many = await pair.measure(QUICK, lambda line: None)
    assert names([one, many]) == ["Socket.IO"] * 2 and one.ratio is not None
    asked = await inbound.measure(QUICK, lambda line: None)
    assert names(asked) == ["Socket.IO", "node ws", uws_name()]
    assert {str(row.peer)[:4]: row.goal for row in asked} == {"Sock": None, "node": inbound.GOALS["ws"], "uWeb": None}


class Named:
    """As much of a system as its rows need."""

    def __init__(self, kind: str) -> None:
        self.kind = self.name = kind


def spent(server_s: float, generator_s: float) -> Spent:
    return Spent(Report(100, 1000, 1.0, generator_s, 0, 0, 1000), {"server": server_s})


def rows(costs: dict[str, Spent], missing: dict[str, tuple[str, str]]) -> list[Measured]:
    others = tuple(cast(System, Named(kind)) for kind in costs if kind != "ours")
    stage = Stage(cast(Ours, Named("ours")), None, Path(), others, missing)
    goals = {kind: Goal(ratio_max=2.0) for kind in ("ws", "nats")}
    rounds = {kind: [one] for kind, one in costs.items()}
    return compare("fan-out", "µs", rounds, fanout.deliveries, stage, goals, {"ws": "why"}, lambda line: None)


def test_a_peer_that_cannot_be_had_leaves_its_goal_open_and_says_why() -> None:
    ws, nats = rows({"ours": spent(3e-3, 1e-3), "ws": spent(6e-3, 1e-3)}, {"nats": ("nats-server", "no apt-get")})
    assert (ws.peer, ws.figure, ws.peer_figure, ws.ratio, ws.met, ws.note) == ("ws", 3.0, 6.0, 0.5, True, "why")
    assert (nats.peer, nats.ratio, nats.met, nats.note) == ("nats-server", None, None, "left out: no apt-get")


def test_a_system_that_cost_less_than_its_generator_has_no_figure() -> None:
    with pytest.raises(GeneratorFailed, match="too dear"):
        rows({"ours": spent(3e-3, 1e-3), "ws": spent(1e-3, 2e-3)}, {})
    assert rows({"ours": spent(3e-3, 1e-3), "floor": spent(1e-3, 2e-3)}, {})


def test_what_runs_as_nats_server_is_what_the_lock_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = pinned()

    def download(asked: Pinned, folder: Path) -> Path:
        package = folder / f"{asked.package}.deb"
        package.write_bytes(b"something else")
        return package

    monkeypatch.setattr("bench.peer_nats._download", download)
    with pytest.raises(PeerMissing, match=r"not the one whose hash"):
        install_nats(tmp_path)
    assert wanted.version.startswith(nats_name().partition(" ")[2])
    assert not [path for path in tmp_path.iterdir() if path.name == wanted.sha256[:16]]


@pytest.mark.usefixtures("peers")
async def test_a_run_goes_on_without_a_peer_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(folder: Path) -> NoReturn:
        raise PeerMissing("no such program")

    monkeypatch.setitem(OTHERS, "ws", (lambda: "node ws", gone))
    said: list[str] = []
    measured = await inbound.measure(QUICK, said.append)
    assert [(one.peer, one.met) for one in measured if one.goal is not None] == [("node ws", None)]
    assert any("node ws is left out: no such program" in line for line in said)
