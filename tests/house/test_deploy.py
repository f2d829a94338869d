"""The deployment files: accepted by their own programs, and in agreement with the settings and the source."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.tokens import KeySet, load_pem
from supervisors.doctor import judge_descriptors
from supervisors.generated import ROOT
from supervisors.settings import Settings
from supervisors.settings_source import FILE_SUFFIX, PREFIX, known_settings, load, missing_for_serving
from tests.needs import require

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text("utf-8"))
PROGRAMS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "educonnect"}
DOCKERFILES = ("deploy/Dockerfile", "deploy/pgbouncer/Dockerfile")
SCRIPTS = (".ci/run", "deploy/prepare")


def seconds(text: str) -> float:
    """`40s`, `2m`"""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


@pytest.mark.parametrize("path", DOCKERFILES)
def test_hadolint_has_nothing_to_say(path: str) -> None:
    done = subprocess.run([Path(sys.executable).with_name("hadolint"), ROOT / path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_accepts_its_file() -> None:
    compose = require("docker-compose", "checks deploy/compose.yaml")
    done = subprocess.run([compose, "-f", ROOT / "deploy/compose.yaml", "config", "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_haproxy_accepts_its_file() -> None:
    haproxy = require("haproxy", "checks deploy/haproxy/haproxy.cfg")
    done = subprocess.run([haproxy, "-c", "-f", ROOT / "deploy/haproxy/haproxy.cfg"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SCRIPTS)
def test_scripts_are_executable_bash_that_stops_at_the_first_fault(path: str) -> None:
    script = ROOT / path
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text("utf-8")
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


# In agreement with the program


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_variable_given_to_the_program_is_a_setting(name: str, tmp_path: Path) -> None:
    load(None, _environment(name, tmp_path))  # unknown names and bad values raise


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_variables_and_prepared_secrets_are_all_that_serving_needs(name: str, tmp_path: Path) -> None:
    settings = load(None, _environment(name, tmp_path))
    assert missing_for_serving(settings) == []
    assert settings.database.dsn.reveal() != settings.database.direct_dsn.reveal(), "migrations go around the pooler"
    keys = tmp_path / Path(COMPOSE["secrets"]["token_keys"]["file"]).name
    assert KeySet(load_pem(keys)).signing_kid
    assert keys.stat().st_mode & 0o077 == 0


def _environment(name: str, secrets: Path) -> dict[str, str]:
    """What a container of compose.yaml sees, with its secrets as `deploy/prepare` makes them."""
    require("openssl", "makes the secrets of deploy/prepare")
    subprocess.run([ROOT / "deploy/prepare", secrets], check=True, capture_output=True)
    files = {f"/run/secrets/{secret}": Path(entry["file"]).name for secret, entry in COMPOSE["secrets"].items()}
    assert all(f"/run/secrets/{secret}" in files for secret in PROGRAMS[name]["secrets"])
    environment = {}
    for variable, value in PROGRAMS[name]["environment"].items():
        plain = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        environment[variable] = str(secrets / files[plain]) if variable.endswith(FILE_SUFFIX) else plain
    return environment


def test_preparing_twice_keeps_the_secrets(tmp_path: Path) -> None:
    require("openssl", "makes the secrets of deploy/prepare")
    subprocess.run([ROOT / "deploy/prepare", tmp_path], check=True, capture_output=True)
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    subprocess.run([ROOT / "deploy/prepare", tmp_path], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == first


def test_secrets_of_compose_are_those_that_are_prepared(tmp_path: Path) -> None:
    require("openssl", "makes the secrets of deploy/prepare")
    subprocess.run([ROOT / "deploy/prepare", tmp_path], check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {Path(entry["file"]).name for entry in COMPOSE["secrets"].values()}


def test_the_images_variables_are_settings() -> None:
    known = {setting.variable for setting in known_settings().values()}
    named = set(re.findall(rf"\b{PREFIX}\w+", (ROOT / "deploy/Dockerfile").read_text("utf-8")))
    assert named and named <= known


def test_the_image_holds_every_room_of_the_product_and_its_build_sees_no_more() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "proofs", "tests", "examples"}
    dockerfile = (ROOT / "deploy/Dockerfile").read_text("utf-8")
    assert set(re.findall(r"^COPY (\w+) /app/", dockerfile, re.MULTILINE)) == rooms
    seen = set(re.findall(r"^!(\w+)", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    assert seen == rooms | {"requirements"}


def test_containers_get_the_descriptors_that_the_doctor_asks_for() -> None:
    for service in PROGRAMS.values():
        limit = service["ulimits"]["nofile"]
        assert judge_descriptors(limit["soft"], limit["hard"], Settings()).verdict == "ok"


def test_containers_get_longer_to_stop_than_a_drain_takes() -> None:
    settings = Settings()
    for service in PROGRAMS.values():
        assert seconds(service["stop_grace_period"]) > settings.drain.grace_s + 2 * settings.sockets.close_s


def test_the_balancer_does_not_cut_a_socket_that_is_only_silent() -> None:
    config = (ROOT / "deploy/haproxy/haproxy.cfg").read_text("utf-8")
    (tunnel,) = re.findall(r"timeout tunnel (\w+)", config)
    beat = Settings().heartbeat
    assert seconds(tunnel) > beat.heartbeat_max_s + beat.pong_s
    assert set(re.findall(r"server (gateway-\d+)", config)) == {name for name in PROGRAMS if name.startswith("gateway")}


def test_the_pooler_takes_every_connection_that_the_programs_may_open() -> None:
    config = (ROOT / "deploy/pgbouncer/pgbouncer.ini").read_text("utf-8")
    (clients,) = re.findall(r"max_client_conn = (\d+)", config)
    (servers,) = re.findall(r"default_pool_size = (\d+)", config)
    (postgres,) = [part for part in COMPOSE["services"]["postgres"]["command"] if part.startswith("max_connections=")]
    assert int(clients) >= len(PROGRAMS) * (Settings().database.connections_max + 8)
    assert int(servers) < int(postgres.partition("=")[2])


# Continuous integration


def test_everything_that_tests_require_is_installed_by_the_ci_script() -> None:
    required = set()
    for path in (ROOT / "tests").rglob("*.py"):
        required |= set(re.findall(r"\brequire\(\s*\"([\w-]+)\"", path.read_text("utf-8")))
    installed = set(
        re.findall(r"([\w-]+):[\w-]+", re.findall(r"^PROGRAMS=\((.*)\)$", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)[0])
    )
    assert "docker-compose" in required
    assert required <= installed, "add them to PROGRAMS in .ci/run"
