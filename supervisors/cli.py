"""`educonnect`: the one program. Each command is a function here; what it does is elsewhere."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import trio

from actors.storage_port import StorageError
from supervisors.settings import Settings
from supervisors.settings_file import FILE_NAME
from supervisors.settings_source import CONFIG_VARIABLE, BadSettings, load, missing_for_serving

BAD_USAGE: Final = 2
DEV_FOLDER: Final = Path(".data")
PORT_MAX: Final = 65_535
DSN: Final = "database.dsn"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0 well, 1 failed, 2 asked for something impossible."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["chat"]:
        from client.chat import run_chat

        status: int = run_chat(arguments[1:])
        return status
    if arguments[:1] == ["sync"]:
        from client.sync import run_sync

        return run_sync(arguments[1:])
    if arguments[:1] == ["mentors"]:
        from client.mentors import run_mentors

        return run_mentors(arguments[1:])
    if arguments[:1] == ["learn"]:
        from client.learn import run_learn

        return run_learn(arguments[1:])
    if arguments[:2] == ["account", "reset-factors"]:
        # The operator's, unlike the rest of `account`, which is one's own and asks a server.
        arguments = arguments[1:]
    if arguments[:1] == ["account"]:
        from client.account_cli import run_account

        return run_account(arguments[1:])
    if arguments[:2] == ["ml", "evaluate"]:
        from supervisors.ml_cli import run_evaluate

        return run_evaluate(arguments[2:], _say, _complain)
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return command(parsed)
    except BadSettings as bad:
        _complain(f"These settings cannot be used:\n{bad}")
        if any(fault.name == DSN for fault in bad.faults):
            _complain(_where_settings_are())
        return BAD_USAGE
    except StorageError as error:
        _complain(f"the database cannot be asked: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="educonnect", description="EduConnect: one low-bandwidth socket per device.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        command.set_defaults(run=run)
        return command

    dev = add("dev", _dev, "start everything on this machine: Postgres, Valkey, gateways, jobs, models, and a demo community")
    dev.add_argument("--port", type=int, default=8000, help="the first gateway's port; the others follow (0: free ones)")
    dev.add_argument("--data", type=Path, default=DEV_FOLDER, help="the folder for all data")
    dev.add_argument("--gateways", type=int, default=1, choices=range(1, 17), metavar="N", help="how many gateway processes (1 to 16)")
    dev.add_argument("--no-demo", action="store_true", help="without the demo community")
    dev.add_argument("--no-ml", action="store_true", help="without models: what there is without one is done")
    dev.add_argument("--verbose", action="store_true", help="the log of every process, not only warnings")

    serve = add("serve", _serve, "run one role against servers given by settings")
    serve.add_argument("--role", choices=("gateway", "jobs", "ml"), required=True)
    _add_config(serve)
    serve.add_argument("--name", default="", help="what `tree --live` calls it; the role if not given")
    serve.add_argument("--portholes", type=Path, help="the folder through which `tree --live` looks in")
    serve.add_argument("--ready-fd", type=int, help="a descriptor to write the addresses to when everything is up")

    migrate = add("migrate", _migrate, "bring the database's schema up to date")
    _add_config(migrate)
    migrate.add_argument("--check", action="store_true", help="only say what is missing; exit status 1 if anything is")

    tree = add("tree", _tree, "draw the supervision tree")
    tree.add_argument("--live", action="store_true", help="of the processes that run now: who is slow, what is busy, what restarts")
    tree.add_argument("--once", action="store_true", help="with --live: print it once, whole, instead of redrawing it")
    tree.add_argument("--json", action="store_true", help="with --live: once, as JSON")
    tree.add_argument("--role", choices=("gateway", "jobs", "ml", "dev"), default="gateway", help="which tree, without --live")
    tree.add_argument("--portholes", type=Path, help="the folder to look in; dev's is DATA/run")

    protocol = add("protocol", _protocol, "print the protocol's reference")
    protocol.add_argument("--schema", action="store_true", help="as JSON, for generators")

    doctor = add("doctor", _doctor, "check settings, database, Redis, clocks and limits, and say what to do")
    _add_config(doctor)

    epoch = add("epoch", _epoch, "show which history the database is, or declare a new one")
    _add_config(epoch)
    epoch.add_argument("--bump", action="store_true", help="after a disk image was put back: tell all clients that it is another history")

    jobs = add("jobs", _jobs, "what waits, runs and has failed; retry, cancel, schedules")
    from supervisors.job_cli import add_jobs

    add_jobs(jobs, _add_config)

    from supervisors.sovereignty_cli import add_erasures, add_person, add_space

    add_space(add("space", _sovereignty, "communities' data: export, import, region, erase"), _add_config)
    add_person(add("person", _sovereignty, "a person's data: export, erase"), _add_config)
    add_erasures(add("erasures", _sovereignty, "what was erased; erase again after a backup was put back"), _add_config)

    roles = add("roles", _roles, "who has which role on the platform; grant and revoke them")
    from supervisors.role_cli import add_roles

    add_roles(roles, _add_config)

    from supervisors.trust_cli import add_trust

    add_trust(add("trust", _trust, "the people on whose word everybody's standing builds"), _add_config)

    from supervisors.people_cli import add_notices, add_reset_factors

    add_notices(add("notices", _people, "what waits to be told, what failed, which addresses refuse mail"), _add_config)
    help = "`account reset-factors`: take away the second factors of somebody who lost them all"
    add_reset_factors(add("reset-factors", _people, help), _add_config)

    ml = add("ml", _ml, "models: versions, cards, evaluations; promote, canary, shadow, roll back, retire")
    from supervisors.ml_cli import add_ml

    add_ml(ml, _add_config)

    chat = commands.add_parser("chat", help="talk, from a terminal", add_help=False)
    chat.set_defaults(run=lambda _: BAD_USAGE)
    sync = commands.add_parser("sync", help="what a device keeps and changes offline, from a terminal", add_help=False)
    sync.set_defaults(run=lambda _: BAD_USAGE)
    learn = commands.add_parser("learn", help="courses, checkpoints, what comes next: also without a network", add_help=False)
    learn.set_defaults(run=lambda _: BAD_USAGE)
    mentors = commands.add_parser("mentors", help="find a mentor, be one, goals and meetings, from a terminal", add_help=False)
    mentors.set_defaults(run=lambda _: BAD_USAGE)
    account = commands.add_parser("account", help="one's own account: password, address, devices, sessions", add_help=False)
    account.set_defaults(run=lambda _: BAD_USAGE)
    return parser


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, help=f"a TOML file (or {CONFIG_VARIABLE}); EDUCONNECT_… variables go over it")


def _settings(parsed: argparse.Namespace, *, role: str = "gateway") -> Settings:
    """For `serve`: everything that it needs is set."""
    settings = load(_config_file(parsed.config), os.environ)
    missing = missing_for_serving(settings, role)
    if missing:
        raise BadSettings(missing)
    return settings


def _settings_beside(parsed: argparse.Namespace) -> Settings:
    """For what asks the database itself. Without an address the driver would ask whatever listens on this machine."""
    settings = load(_config_file(parsed.config), os.environ)
    if not settings.database.dsn:
        raise BadSettings([fault for fault in missing_for_serving(settings) if fault.name == DSN])
    return settings


def _where_settings_are() -> str:
    """What to do about a database that nobody named."""
    file = DEV_FOLDER / FILE_NAME
    if file.is_file():
        return f"What `educonnect dev` runs is asked with --config {file}"
    return f"Name a settings file with --config (what `educonnect dev` runs has one in its data folder, {FILE_NAME})."


def _config_file(named: Path | None) -> Path | None:
    return named or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)


def _dev(parsed: argparse.Namespace) -> int:
    from supervisors.dev import Installation, run_dev
    from supervisors.process import set_up_log

    last_port = parsed.port + parsed.gateways - 1 if parsed.port else 0
    if not 0 <= parsed.port <= last_port <= PORT_MAX:
        _complain(
            f"--port is {parsed.port} with --gateways {parsed.gateways}; "
            f"allowed: 0 (free ones), or from 1 to {PORT_MAX + 1 - parsed.gateways}, since the gateways take consecutive ports"
        )
        return BAD_USAGE
    load(_config_file(None), os.environ)  # its processes are given the same: what is wrong with it is said once, and here
    unusable = _why_not_a_folder(parsed.data)
    if unusable:
        _complain(f"--data is {parsed.data}; allowed: a folder that can be made and written to ({unusable})")
        return BAD_USAGE
    level = "info" if parsed.verbose else "error"
    set_up_log(level, "console")
    taken = [port for port in range(parsed.port, parsed.port + parsed.gateways) if parsed.port and not _is_free(port)]
    if taken:
        _complain(f"port {taken[0]} is in use on this machine; choose another with --port (0 takes free ones)")
        return BAD_USAGE
    installation = Installation(
        parsed.data,
        port=parsed.port,
        gateways=parsed.gateways,
        demo=not parsed.no_demo,
        ml=not parsed.no_ml,
        environment={"EDUCONNECT_LOG_LEVEL": level},
    )
    return trio.run(run_dev, installation, _say)


def _why_not_a_folder(path: Path) -> str:
    """Makes the folder; what is wrong with it, if nothing can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return "" if os.access(path, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _serve(parsed: argparse.Namespace) -> int:
    from functools import partial

    from supervisors.porthole import default_folder
    from supervisors.process import set_up_log

    settings = _settings(parsed, role=parsed.role)
    set_up_log(settings.log.level, settings.log.format)
    portholes = parsed.portholes or default_folder()
    if parsed.role == "ml":
        from supervisors.ml_serving import serve_models

        return trio.run(partial(serve_models, settings, name=parsed.name, portholes=portholes, ready_fd=parsed.ready_fd))
    from gateway.tokens import KeysRefused
    from supervisors.serving import serve

    try:
        return trio.run(partial(serve, settings, parsed.role, name=parsed.name, portholes=portholes, ready_fd=parsed.ready_fd))
    except KeysRefused as refused:
        _complain(f"tokens.key_file: {refused}")
        return 1


def _migrate(parsed: argparse.Namespace) -> int:
    from persistence.migrate import MigrationRefused, migrate, pending

    database = _settings_beside(parsed).database
    dsn = (database.direct_dsn or database.dsn).reveal()
    try:
        migrations = trio.run(pending if parsed.check else migrate, dsn)
    except MigrationRefused as refused:
        _complain(refused)
        return 1
    for migration in migrations:
        _say(f"{'missing' if parsed.check else 'applied'}  {migration.file}")
    if not migrations:
        _say("the schema is up to date")
    return 1 if parsed.check and migrations else 0


def _tree(parsed: argparse.Namespace) -> int:
    from supervisors.drawing import draw
    from supervisors.live import render, render_json, see, watch
    from supervisors.porthole import default_folder

    if not parsed.live and (parsed.once or parsed.json or parsed.portholes):
        _complain("--once, --json and --portholes are of the processes that run: say --live with them")
        return BAD_USAGE
    if not parsed.live:
        from supervisors.blueprints import blueprint

        _say(draw(blueprint(parsed.role)))
        return 0
    folders = [parsed.portholes] if parsed.portholes else [DEV_FOLDER / "run", default_folder()]
    if sys.stdout.isatty() and not (parsed.once or parsed.json):
        trio.run(watch, folders, _draw, shutil.get_terminal_size)
        return 0
    seen = trio.run(see, folders)
    if not seen:
        _complain(f"no process of EduConnect runs whose porthole is in {' or '.join(map(str, folders))}; name its folder with --portholes")
        return 1
    _say(render_json(seen) if parsed.json else render(seen, whole=True))
    return 0


def _protocol(parsed: argparse.Namespace) -> int:
    from protocol.reference import render
    from protocol.schema import encode_schema

    _say(encode_schema().decode() if parsed.schema else render())
    return 0


def _doctor(parsed: argparse.Namespace) -> int:
    from supervisors.doctor import examine, exit_status, render

    settings = load(_config_file(parsed.config), os.environ)
    findings = trio.run(examine, settings)
    _say(render(findings))
    if not settings.database.dsn:
        _complain(_where_settings_are())
    return exit_status(findings)


def _epoch(parsed: argparse.Namespace) -> int:
    from persistence.bridge import Bridge, BridgeOptions
    from persistence.epoch import Epoch, bump_epoch, read_epoch

    dsn = _settings_beside(parsed).database.dsn.reveal()

    async def ask() -> int:
        bridge = Bridge(BridgeOptions(dsn))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            try:
                status = tell(await bridge.run(bump_epoch if parsed.bump else read_epoch, deadline_s=10.0))
            except StorageError as error:
                # Here, since the nursery would wrap it in a group.
                _complain(f"the database cannot be asked: {error}")
                status = 1
            nursery.cancel_scope.cancel()
        return status

    def tell(epoch: Epoch | None) -> int:
        if epoch is None:
            _complain("this server is a standby: only a primary has an epoch")
            return 1
        _say(f"epoch {epoch.number} (system {epoch.system_identifier}, timeline {epoch.timeline}, bump {epoch.bump})")
        return 0

    return trio.run(ask)


def _jobs(parsed: argparse.Namespace) -> int:
    from supervisors.job_cli import run_jobs

    return run_jobs(parsed, _settings_beside(parsed).database.dsn.reveal(), _say, _complain)


def _sovereignty(parsed: argparse.Namespace) -> int:
    from supervisors.sovereignty_cli import run_sovereignty

    return run_sovereignty(parsed, _settings_beside(parsed), _say, _complain)


def _ml(parsed: argparse.Namespace) -> int:
    from supervisors.ml_cli import run_ml

    return run_ml(parsed, load(_config_file(parsed.config), os.environ).database.dsn.reveal(), _say, _complain)


def _roles(parsed: argparse.Namespace) -> int:
    from supervisors.role_cli import run_roles

    return run_roles(parsed, _settings_beside(parsed).database.dsn.reveal(), _say, _complain)


def _trust(parsed: argparse.Namespace) -> int:
    from supervisors.trust_cli import run_trust

    return run_trust(parsed, _settings_beside(parsed).database.dsn.reveal(), _say, _complain)


def _people(parsed: argparse.Namespace) -> int:
    from supervisors.people_cli import run_people

    return run_people(parsed, _settings_beside(parsed).database.dsn.reveal(), _say, _complain)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's output


def _draw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _complain(text: object) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what went wrong with it


if __name__ == "__main__":
    sys.exit(main())
