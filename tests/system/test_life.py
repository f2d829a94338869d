"""The system's own life: killed parts come back, a restart finds everything, commands say what there is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import psutil
import pytest
import trio

from client import connect
from protocol.values import Role
from tests.system.running import Dev, community, register, texts

pytestmark = pytest.mark.xdist_group("system-life")


def educonnect(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "supervisors.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def children(dev: Dev) -> dict[str, list[psutil.Process]]:
    """The installation's processes, by what they are."""
    found: dict[str, list[psutil.Process]] = {"postgres": [], "valkey": [], "gateway": []}
    for process in psutil.Process(dev.process.pid).children(recursive=True):
        line = " ".join(process.cmdline())
        if "--role gateway" in line:
            found["gateway"].append(process)
        elif "valkey" in line:
            found["valkey"].append(process)
        elif re.search(r"bin/postgres\b.* -D ", line):
            found["postgres"].append(process)
    return found


@pytest.mark.parametrize("victim", ["gateway", "valkey", "postgres"])
async def test_whatever_is_killed_comes_back_and_the_conversation_goes_on(tmp_path: Path, victim: str) -> None:
    dev = await trio.to_thread.run_sync(lambda: Dev(tmp_path, "--gateways", "2", "--no-demo"))
    try:
        here, there = dev.urls
        async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, _, general):
            await owner.say(general, "before")
            for process in children(dev)[victim]:
                process.send_signal(signal.SIGKILL)
            with trio.fail_after(40):
                assert await owner.say(general, "during") == 2
                assert await learner.say(general, "after") == 3
            assert await texts(learner, general, "after") == ["before", "during", "after"]
            assert await texts(owner, general, "after") == ["before", "during", "after"]
    finally:
        assert await trio.to_thread.run_sync(dev.stop) == 0


async def test_a_power_cut_loses_nothing_and_the_next_start_finds_it(tmp_path: Path) -> None:
    dev = await trio.to_thread.run_sync(lambda: Dev(tmp_path, "--no-demo"))
    try:
        (url,) = dev.urls
        async with community(url) as (owner, _, general):
            await owner.say(general, "remember me")
            login = owner
            kept = (general, login.user)
            credentials = await register(url)
        dev.kill()
        await trio.to_thread.run_sync(dev.again)
        (url,) = dev.urls
        async with connect(url, credentials) as session:
            with trio.fail_after(20):
                await session.online()
            assert session.user == kept[1] + 1
        async with httpx.AsyncClient(trust_env=False) as http:
            ready = await http.get(f"{url}/ready")
        assert ready.status_code == 200
    finally:
        await trio.to_thread.run_sync(dev.stop)


def test_a_running_system_is_drawn_live_and_says_how_it_is(tmp_path: Path) -> None:
    dev = Dev(tmp_path, "--gateways", "2", ml=True)
    try:
        drawn = educonnect("tree", "--live", "--portholes", str(tmp_path / "run"))
        assert drawn.returncode == 0
        assert drawn.stdout.count("gateway (rest_for_one): running") == 2
        assert "journal: running" in drawn.stdout and "session:" in drawn.stdout
        assert httpx.get(f"{dev.urls[0]}/health", trust_env=False).json() == {"status": "alive"}
        metrics = httpx.get(f"{dev.urls[0]}/metrics", trust_env=False).text
        assert "educonnect_sockets" in metrics and "educonnect_journal_batches_total" in metrics
        assert "amina" in dev.said and "chat --url" in dev.said
    finally:
        assert dev.stop() == 0


def test_nothing_of_it_is_left_when_it_is_killed(tmp_path: Path) -> None:
    dev = Dev(tmp_path, "--no-demo")
    processes = psutil.Process(dev.process.pid).children(recursive=True)
    assert len(processes) >= 4
    dev.kill()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


def test_the_tree_is_drawn_without_running_anything() -> None:
    drawn = educonnect("tree")
    assert drawn.returncode == 0
    assert drawn.stdout.splitlines()[0].startswith("gateway (rest_for_one")
    assert educonnect("tree", "--role", "dev").stdout.count("gateway-") == 2


def test_a_look_where_nothing_runs_says_so(tmp_path: Path) -> None:
    looked = educonnect("tree", "--live", "--portholes", str(tmp_path))
    assert looked.returncode == 1
    assert "no process of EduConnect runs" in looked.stderr


def test_a_bad_setting_stops_the_start_with_its_name_its_value_and_what_is_allowed() -> None:
    started = educonnect("serve", "--role", "gateway", EDUCONNECT_LISTEN_PORT="99999", EDUCONNECT_LISTEM_HOST="x")
    assert started.returncode == 2
    assert "EDUCONNECT_LISTEN_PORT is '99999'; allowed: " in started.stderr
    assert "EDUCONNECT_LISTEM_HOST" in started.stderr and "EDUCONNECT_LISTEN_HOST" in started.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--port", "99999"), "--port is 99999 with --gateways 1; allowed: 0 (free ones), or from 1 to 65535"),
        (("--port", "65535", "--gateways", "2"), "--port is 65535 with --gateways 2; allowed: 0 (free ones), or from 1 to 65534"),
        (("--port", "-1"), "--port is -1 with --gateways 1; allowed: 0 (free ones), or from 1 to 65535"),
        (("--port", "0", "--data", "/proc/x"), "--data is /proc/x; allowed: a folder that can be made and written to"),
        (("--port", "0", "--data", "/dev/null"), "--data is /dev/null; allowed: a folder that can be made and written to"),
    ],
)
def test_what_dev_cannot_do_is_said_in_one_line_with_what_is_allowed(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    started = educonnect("dev", "--data", str(tmp_path / "data"), *arguments)
    assert started.returncode == 2
    assert started.stderr.startswith(told) and started.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("dev",), ("serve", "--role", "jobs")])
def test_a_level_of_the_log_that_there_is_not_is_refused_with_those_that_there_are(command: tuple[str, ...], tmp_path: Path) -> None:
    folder = ("--data", str(tmp_path), "--port", "0") if command == ("dev",) else ()
    started = educonnect(*command, *folder, EDUCONNECT_LOG_LEVEL="loud")
    assert started.returncode == 2
    assert "EDUCONNECT_LOG_LEVEL is 'loud'; allowed: one of 'debug', 'info', 'warning', 'error'" in started.stderr


@pytest.mark.parametrize("option", ["--once", "--json"])
def test_an_option_of_the_live_tree_without_it_is_refused_and_not_passed_over(option: str) -> None:
    drawn = educonnect("tree", option)
    assert (drawn.returncode, drawn.stdout) == (2, "")
    assert "--live" in drawn.stderr


def test_serving_without_a_database_says_what_is_missing() -> None:
    started = educonnect("serve", "--role", "jobs")
    assert started.returncode == 2
    assert "database.dsn" in started.stderr or "EDUCONNECT_DATABASE_DSN" in started.stderr


def test_the_doctor_finds_a_missing_database_and_says_what_to_do() -> None:
    examined = educonnect(
        "doctor", EDUCONNECT_DATABASE_DSN="postgresql://nobody@127.0.0.1:9/none", EDUCONNECT_REDIS_URL="redis://127.0.0.1:9"
    )
    assert examined.returncode != 0
    assert "database" in examined.stdout.lower() and "redis" in examined.stdout.lower()


def test_the_protocol_is_printed() -> None:
    assert educonnect("protocol").stdout.strip() == Path("docs/protocol.md").read_text().strip()


def test_the_program_is_what_the_project_installs() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())
    assert project["project"]["scripts"]["educonnect"] == "supervisors.cli:main"
