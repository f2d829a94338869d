"""`educonnect dev`: the whole system on one machine with nothing installed, as a tree of processes.

    dev (rest_for_one)
     ├ postgres      real, from its wheel, data in the folder
     ├ valkey        real, from its wheel
     ├ prepare       migrations, then done
     ├ beside        jobs and models, a process each: when one falls it is started again, and nobody else notices
     ├ gateways      one process each, on consecutive ports
     ╰ demo          a community with two people to log in as, made through the front door, then done

The gateways are told by their environment where the servers are; beyond that they are what runs in production.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from actors.child import Run, Supervisor
from client import ClientError
from gateway.push.web_push import load_or_generate_key
from gateway.tokens import load_or_generate_pem
from persistence.migrate import migrate
from supervisors.blueprints import dev_tree
from supervisors.demo import AMINA, JUMA, make_demo
from supervisors.embedded_postgres import PostgresOptions, serve_postgres
from supervisors.embedded_valkey import ValkeyAddress, ValkeyOptions, serve_valkey
from supervisors.looking import look_at_parent
from supervisors.porthole import SOCKET_PATH_BYTES_MAX, serve_view
from supervisors.program import Program
from supervisors.pulse import Pulse
from supervisors.settings_file import FILE_NAME, write_settings
from supervisors.told import Told
from supervisors.tree import SupervisorGaveUp, Tree
from supervisors.tree_state import describe
from supervisors.troubles import Troubles

log = structlog.get_logger("dev")

GATEWAY_STOP_S: Final = 8.0
DRAIN_GRACE_S: Final = 3.0
PAGE_PORT: Final = 8000
"""Where links in mails lead if the gateways took free ports: the usual one."""


class Installation:
    """Everything of one `dev`, wired. `environment` is added to what each process is told, `environments` to what the one of that name is.
    `ml`: with models, in a process that is asked through a pipe; else they are switched off.

    Tests, benchmarks and proofs run their own servers by it, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 8000,
        gateways: int = 1,
        demo: bool = False,
        ml: bool = False,
        environment: Mapping[str, str] | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        postgres_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.port = port
        self._demo = demo
        self._environment = dict(environment or {})
        self._environments = dict(environments or {})
        self._postgres = PostgresOptions(self.folder / "postgres", settings=dict(postgres_settings or {}))
        self._valkey = ValkeyOptions(self.folder / "valkey")
        self.dsn = ""
        self.redis: ValkeyAddress | None = None
        self.key_file = self.folder / "keys.pem"
        self.push_key_file = self.folder / "push.pem"
        self.mail_folder = self.folder / "mail"
        self.settings_file = self.folder / FILE_NAME
        names = [f"gateway-{n + 1}" for n in range(gateways)]
        self.gateways = [Program(name, self._arguments("gateway", name), {}, stop_s=GATEWAY_STOP_S) for name in names]
        self.jobs = Program("jobs", self._arguments("jobs", "jobs"), {}, stop_s=GATEWAY_STOP_S)
        self.ml = Program("ml", self._arguments("ml", "ml"), {}, stop_s=GATEWAY_STOP_S) if ml else None

    @property
    def portholes(self) -> Path:
        return self.folder / "run"

    @property
    def urls(self) -> list[str]:
        """Where the gateways are, in order."""
        return [f"http://{address}" for gateway in self.gateways for address in gateway.addresses]

    def spec(self) -> Supervisor:
        runs: dict[str, Run] = {
            "postgres": self._run_postgres,
            "valkey": self._run_valkey,
            "prepare": self._prepare,
            "jobs": self._run(self.jobs, None),
            **({"ml": self._run(self.ml, None)} if self.ml is not None else {}),
            "demo": self._make_demo,
            **{gateway.name: self._run(gateway, n) for n, gateway in enumerate(self.gateways)},
        }
        return dev_tree(len(self.gateways), runs, demo=self._demo, ml=self.ml is not None)

    @property
    def programs(self) -> list[Program]:
        """All that serve a role, in the order of their starting."""
        return [self.jobs, *([self.ml] if self.ml is not None else []), *self.gateways]

    @property
    def ml_line(self) -> str:
        """How models are reached here. A socket's address has little room: where the folder's path is long it lies in the temporary one."""
        if self.ml is None:
            return "off"
        path = self.folder / "run" / "ml.sock"
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
            path = Path(tempfile.gettempdir()) / f"educonnect-{os.getuid()}-{digest}" / "ml.sock"
        return f"pipe:{path}"

    def _arguments(self, role: str, name: str) -> tuple[str, ...]:
        return ("serve", "--role", role, "--name", name, "--portholes", str(self.portholes))

    def _run(self, program: Program, number: int | None) -> Run:
        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            program.environment = self._environment_of(program, number)
            await program.serve(task_status=task_status)

        return run

    def _environment_of(self, program: Program, number: int | None) -> dict[str, str]:
        return {
            "EDUCONNECT_LISTEN_PORT": str(self._port_of(program, number)),
            **self._environment_of_all(),
            **self._environments.get(program.name, {}),
        }

    def _environment_of_all(self) -> dict[str, str]:
        assert self.redis is not None
        return {
            "EDUCONNECT_DATABASE_DSN": self.dsn,
            "EDUCONNECT_REDIS_URL": self.redis.url,
            "EDUCONNECT_TOKENS_KEY_FILE": str(self.key_file),
            "EDUCONNECT_IDENTITY_PAGE_URL": f"http://127.0.0.1:{self.port or PAGE_PORT}",
            "EDUCONNECT_MAIL_FOLDER": str(self.mail_folder),
            "EDUCONNECT_PUSH_VAPID_KEY_FILE": str(self.push_key_file),
            "EDUCONNECT_UPLOADS_STORE": f"folder:{(self.folder / 'files').absolute()}",
            "EDUCONNECT_ML_LINE": self.ml_line,
            "EDUCONNECT_ML_CACHE_FOLDER": str(self.folder / "models"),
            "EDUCONNECT_LISTEN_ORIGINS": "*",  # any page on this machine may try; in production they are named
            "EDUCONNECT_DRAIN_GRACE_S": str(DRAIN_GRACE_S),
            "EDUCONNECT_DRAIN_SPREAD_S": str(DRAIN_GRACE_S),
            **self._passkeys(),
            **self._environment,
        }

    def _passkeys(self) -> dict[str, str]:
        """Passkeys are for a domain, which an address is not, and for pages whose port is known; unless somebody said otherwise."""
        if not self.port or any(name.startswith(("EDUCONNECT_MFA_", "EDUCONNECT_CONFIG")) for name in os.environ):
            return {}
        origins = ",".join(f"http://localhost:{self.port + number}" for number in range(len(self.gateways)))
        return {"EDUCONNECT_MFA_RP_ID": "localhost", "EDUCONNECT_MFA_ORIGINS": origins}

    def _port_of(self, program: Program, number: int | None) -> int:
        """A gateway that comes back is where it was, also when its port was a free one."""
        if number is None:
            return 0
        if self.port:
            return self.port + number
        return int(program.addresses[0].rpartition(":")[2]) if program.addresses else 0

    async def _run_postgres(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        def keep(dsn: str | None) -> None:
            assert dsn is not None
            self.dsn = dsn
            task_status.started()

        await serve_postgres(self._postgres, task_status=Told(keep))

    async def _run_valkey(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        def keep(address: ValkeyAddress | None) -> None:
            self.redis = address
            task_status.started()

        await serve_valkey(self._valkey, task_status=Told(keep))

    async def _prepare(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        load_or_generate_pem(self.key_file)
        load_or_generate_key(self.push_key_file)
        write_settings(self.settings_file, {**os.environ, **self._environment_of_all()})
        applied = await migrate(self.dsn)
        if applied:
            log.info("migrations_applied", names=[migration.name for migration in applied])
        for program in self.programs:
            number = self.gateways.index(program) if program in self.gateways else None
            program.environment = self._environment_of(program, number)
            program.launch()
        task_status.started()

    async def _make_demo(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await make_demo(self.urls[0])
        except (ClientError, trio.TooSlowError) as error:
            log.error("demo_failed", cause=describe(error))  # a look at the system is not worth the system
        task_status.started()


async def run_dev(installation: Installation, say: Callable[[str], None]) -> int:
    """Runs it until SIGINT or SIGTERM. Returns the exit status."""
    pulse, troubles = Pulse(), Troubles(time.time)
    bystander = _Bystander(say, troubles)
    tree = Tree(installation.spec(), report=bystander)

    async def view() -> bytes:
        return msgspec.json.encode(await look_at_parent(tree, pulse, troubles, "dev"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, tree, installation)
        await nursery.start(pulse.run)
        await nursery.start(serve_view, installation.portholes, "dev", view)

        def started(_: Tree | None) -> None:
            say(welcome(installation))

        try:
            await tree.run(task_status=Told(started))
        except SupervisorGaveUp as gave_up:
            log.error("dev_gave_up", cause=describe(gave_up))
            return 1
        finally:
            nursery.cancel_scope.cancel()
    return 0


def welcome(installation: Installation) -> str:
    """What `dev` says when it is up."""
    first, *others = installation.urls
    program = "educonnect" if shutil.which("educonnect") else os.path.relpath(Path(sys.executable).with_name("educonnect"))
    also = "".join(f"\n  another gateway    {url}" for url in others)
    second = others[0] if others else first
    return f"""
EduConnect is up.

  the app            {first.replace("127.0.0.1", "localhost")}   (in a browser; {AMINA.name} and {JUMA.name} have accounts, see below)
  gateway            {first}   (socket at /socket, HTTP at /api/v1, /health, /ready, /metrics){also}
  data               {os.path.relpath(installation.folder)}   (mails are written to {os.path.relpath(installation.mail_folder)})
  the tree, live     {program} tree --live --portholes {os.path.relpath(installation.portholes)}
  to operate it      {program} jobs --config {os.path.relpath(installation.settings_file)}   (and doctor, roles, space, person, …)

A community is ready, with two people in it: log in as one of them in the app, or chat from two more terminals:

  {program} chat --url {first} --name {AMINA.name} --password {AMINA.password}
  {program} chat --url {second} --name {JUMA.name} --password {JUMA.password}

Ctrl-C stops everything.
"""


class _Bystander:
    """Says at the terminal what a person wants to know of the tree: what fell, and that it is back."""

    def __init__(self, say: Callable[[str], None], troubles: Troubles) -> None:
        self._say = say
        self._troubles = troubles
        self._fallen: set[str] = set()

    def __call__(self, event: str, path: str, cause: Exception | None) -> None:
        self._troubles.note_in_tree(event, path, cause)
        log.info(event, path=path, cause=describe(cause) if cause is not None else None)
        name = path.rpartition("/")[2]
        if event == "child_crashed" and cause is not None:
            self._fallen.add(path)
            self._say(f"{name} fell ({describe(cause)}); starting it again")
        elif event == "child_started" and path in self._fallen:
            self._fallen.discard(path)
            self._say(f"{name} is back")


async def _stop_on_signal(tree: Tree, installation: Installation) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            tree.stop()
            for program in installation.programs:
                program.ask_to_stop()
