"""Where settings come from, and what is said when one is bad.

    educonnect.toml   [listen]                      EDUCONNECT_LISTEN_PORT=8443          beats the file
                      port = 8000                   EDUCONNECT_DATABASE_DSN_FILE=/run/…  for secrets: the file's content
                            └──────────── found ──────────┘
                                            │ each by itself: type, range, shape
                                            ▼
                                Settings, or BadSettings with every fault at once

Invariant: nothing is guessed. A name nobody knows is a fault, and so is a value that is out of range; a secret's value is never said.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
import ssl
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from gateway.redis_connection import parse_address
from ml_actors.kinds import KINDS
from supervisors.porthole import SOCKET_PATH_BYTES_MAX
from supervisors.settings import Secret, Section, Settings

PREFIX: Final = "EDUCONNECT_"
FILE_SUFFIX: Final = "_FILE"
CONFIG_VARIABLE: Final = "EDUCONNECT_CONFIG"
NOT_OURS: Final = frozenset(
    {
        CONFIG_VARIABLE,
        "EDUCONNECT_CODE",
        "EDUCONNECT_NEW_PASSWORD",
        "EDUCONNECT_NODE_MODULES",
        "EDUCONNECT_PASSWORD",
        "EDUCONNECT_STORE",
    }
)
"""Variables with our prefix that are no settings: where the file is, what the tests use, and what the programs for people read."""
SECRET_BYTES_MAX: Final = 64 * 1024
SHOWN_LENGTH_MAX: Final = 60
_ORIGIN: Final = re.compile(r"https?://[^/\s?#@]+")


class Fault(Struct, frozen=True):
    """One bad setting: its name as it was given, its value as it may be shown, and what is allowed."""

    name: str
    value: str
    allowed: str

    def __str__(self) -> str:
        shown = f" is {self.value}" if self.value else ""
        return f"{self.name}{shown}; allowed: {self.allowed}"


class BadSettings(Exception):
    """The program cannot start with these settings. Its text has one line for each fault."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class Setting(Struct, frozen=True):
    """One setting as its type describes it."""

    section: str
    name: str
    inner: Any
    meta: Meta
    default: Any

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.section}_{self.name}".upper()

    @property
    def secret(self) -> bool:
        return self.inner is Secret


class _Found(Struct, frozen=True):
    value: Any
    source: str
    textual: bool


def known_settings() -> dict[str, Setting]:
    """Every setting by its path, `section.name`, in the order of the types."""
    known: dict[str, Setting] = {}
    for section, kind in get_type_hints(Settings).items():
        assert issubclass(kind, Section) and "_" not in section, "a variable's first word is its section"
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            assert get_origin(hints[field.name]) is Annotated, f"{section}.{field.name} has no description"
            inner, meta = get_args(hints[field.name])
            setting = Setting(section, field.name, inner, meta, field.default)
            known[setting.path] = setting
    return known


def load(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Reads the file, if any, and the environment over it. Raises `BadSettings` with everything that is wrong."""
    known = known_settings()
    faults: list[Fault] = []
    found: dict[str, _Found] = {}
    if config is not None:
        found.update(_from_file(config, known, faults))
    found.update(_from_environment(environ, known, faults))
    values: dict[str, dict[str, Any]] = {}
    for path, given in found.items():
        setting = known[path]
        try:
            values.setdefault(setting.section, {})[setting.name] = _convert(setting, given)
        except (msgspec.ValidationError, ValueError) as error:
            faults.append(Fault(given.source, _show(setting, given.value), allowed(setting, str(error))))
    if faults:
        raise BadSettings(faults)
    hints = get_type_hints(Settings)
    settings = Settings(**{section: kind(**values.get(section, {})) for section, kind in hints.items()})
    faults = list(_contradictions(settings))
    if faults:
        raise BadSettings(faults)
    return settings


def missing_for_serving(settings: Settings, role: str = "gateway") -> list[Fault]:
    """What `serve` needs and `dev` brings itself. An ML process issues no tokens, and needs Redis where that is its line."""
    needed = {
        "database.dsn": (settings.database.dsn, "postgresql://user:secret@host:5432/name"),
        "redis.url": (settings.redis.url, "redis://host:6379/0"),
        "tokens.key_file": (settings.tokens.key_file, "the path of a PEM file with an Ed25519 key"),
    }
    if role == "ml":
        del needed["tokens.key_file"]
        if settings.ml.line != "redis":
            del needed["redis.url"]
    return [Fault(path, "not set", f"{example} (or {variable_of(path)})") for path, (value, example) in needed.items() if not value]


def variable_of(path: str) -> str:
    """The environment's name of a setting."""
    return PREFIX + path.replace(".", "_").upper()


def _from_file(config: Path, known: Mapping[str, Setting], faults: list[Fault]) -> Iterator[tuple[str, _Found]]:
    try:
        document = tomllib.loads(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append(Fault(str(config), f"no readable TOML file ({error})", "a file as docs/settings.md describes it"))
        return
    sections = {setting.section for setting in known.values()}
    for section, table in document.items():
        if section not in sections:
            faults.append(_unknown(f"{config}: [{section}]", section, sections, "[{}]"))
        elif not isinstance(table, dict):
            faults.append(Fault(f"{config}: {section}", repr(table), f"a table, [{section}]"))
        else:
            names = {setting.name for setting in known.values() if setting.section == section}
            for name, value in table.items():
                if name in names:
                    yield f"{section}.{name}", _Found(value, f"{config}: {section}.{name}", textual=False)
                else:
                    faults.append(_unknown(f"{config}: {section}.{name}", name, names, section + ".{}"))


def _from_environment(environ: Mapping[str, str], known: Mapping[str, Setting], faults: list[Fault]) -> Iterator[tuple[str, _Found]]:
    variables = {setting.variable: setting for setting in known.values()}
    files = {setting.variable + FILE_SUFFIX: setting for setting in known.values() if setting.secret}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_OURS:
            continue
        if (setting := variables.get(variable)) is not None:
            yield setting.path, _Found(environ[variable], variable, textual=True)
        elif (setting := files.get(variable)) is not None:
            if setting.variable in environ:
                faults.append(Fault(variable, "set beside " + setting.variable, "one of the two"))
                continue
            try:
                text = Path(environ[variable]).read_bytes()[:SECRET_BYTES_MAX].decode().strip()
            except (OSError, UnicodeDecodeError) as error:
                faults.append(Fault(variable, f"no readable file ({error})", "the path of a file that holds the secret"))
                continue
            yield setting.path, _Found(text, variable, textual=True)
        else:
            faults.append(_unknown(variable, variable, {*variables, *files}, "{}"))


def _unknown(name: str, given: str, names: set[str], template: str) -> Fault:
    near = difflib.get_close_matches(given, sorted(names), n=1, cutoff=0.5)
    meant = f"did you mean {template.format(near[0])}? " if near else ""
    return Fault(name, "not known", f"{meant}see docs/settings.md")


def _convert(setting: Setting, given: _Found) -> Any:
    value = given.value
    if setting.secret:
        if not isinstance(value, str):
            raise ValueError
        return _check_shape(setting, Secret(value))
    if given.textual and get_origin(setting.inner) is tuple:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if given.textual and setting.inner is bool:
        value = value.strip().lower()
    converted = msgspec.convert(value, Annotated[setting.inner, setting.meta], strict=not given.textual)
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ValueError
    return _check_shape(setting, converted)


def _check_shape(setting: Setting, value: Any) -> Any:
    """Raises ValueError, whose text says what is allowed, for what a type cannot say."""
    if value and (check := _SHAPES.get(setting.path)) is not None:
        check(value)
    return value


def _check_dsn(value: Secret) -> None:
    if urlsplit(value.reveal()).scheme not in ("postgresql", "postgres"):
        raise ValueError("a URL that begins with postgresql://")


def _check_redis(value: Secret) -> None:
    try:
        parse_address(value.reveal())
    except ValueError:
        raise ValueError("redis://[user:secret@]host[:port][/db], rediss://… or unix:///path[?db=n]") from None


def _check_origins(value: tuple[str, ...]) -> None:
    if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in value):
        raise ValueError("a list of origins such as https://learn.example (no path), or *")


def _check_passkey_origins(value: tuple[str, ...]) -> None:
    # Browsers make passkeys only where nobody can listen in, or on the machine itself.
    if not all(_ORIGIN.fullmatch(origin) and (origin.startswith("https://") or _is_local(origin)) for origin in value):
        raise ValueError("a list of origins such as https://learn.example (no path); http only for localhost")


def _is_local(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    return host == "localhost" or host.endswith(".localhost")


def _check_networks(value: tuple[str, ...]) -> None:
    try:
        for network in value:
            ipaddress.ip_network(network)
    except ValueError:
        raise ValueError("a list of networks such as 10.0.0.0/8 or 192.0.2.7/32") from None


def _check_ports(value: tuple[int, ...]) -> None:
    if not all(0 < port < 65_536 for port in value):
        raise ValueError("a list of ports from 1 to 65535, such as 443 and 8443")


def _check_authorities(value: str) -> None:
    try:
        ssl.create_default_context().load_verify_locations(value)
    except OSError:
        raise ValueError("a readable PEM file of certificates") from None


def _check_endpoint(value: str) -> None:
    try:
        address = urlsplit(value)
        good = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("an http:// or https:// URL such as http://collector:4318")


def _check_line(value: str) -> None:
    path = value.removeprefix("pipe:")
    if value not in ("redis", "off") and (path == value or not path.startswith("/") or len(path.encode()) > SOCKET_PATH_BYTES_MAX):
        raise ValueError(f"redis, off, or pipe: and an absolute path of at most {SOCKET_PATH_BYTES_MAX} bytes")


def _check_store(value: str) -> None:
    if value and not (value.startswith("folder:/") or re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,62}(/[\w./-]+)?", value)):
        raise ValueError("`folder:/path` or `s3://bucket/prefix`, or empty")


def _check_models(value: tuple[str, ...]) -> None:
    if unknown := [name for name in value if name not in KINDS]:
        raise ValueError(f"a list of {', '.join(KINDS)} (not {', '.join(unknown)})")


_SHAPES: Final[dict[str, Callable[[Any], None]]] = {
    "database.dsn": _check_dsn,
    "database.direct_dsn": _check_dsn,
    "database.replica_dsn": _check_dsn,
    "redis.url": _check_redis,
    "ml.line": _check_line,
    "uploads.store": _check_store,
    "ml.models": _check_models,
    "listen.origins": _check_origins,
    "mfa.origins": _check_passkey_origins,
    "proxy.networks": _check_networks,
    "webhooks.forbidden_networks": _check_networks,
    "webhooks.ports": _check_ports,
    "webhooks.certificates": _check_authorities,
    "traces.endpoint": _check_endpoint,
}


def _contradictions(settings: Settings) -> Iterator[Fault]:
    """Settings that are right by themselves and wrong together."""
    listen, sockets, beat, gates, proxy = settings.listen, settings.sockets, settings.heartbeat, settings.gates, settings.proxy
    if bool(listen.tls_certificate) != bool(listen.tls_key):
        yield Fault("listen.tls_certificate and listen.tls_key", "one without the other", "both, or neither")
    http = settings.http
    if 2 * http.links_max >= http.connections_max:
        yield Fault("http.links_max", str(http.links_max), f"below half of http.connections_max, which is {http.connections_max}; or 0")
    if sockets.queue_soft_bytes > sockets.queue_hard_bytes:
        yield Fault("sockets.queue_soft_bytes", str(sockets.queue_soft_bytes), f"at most queue_hard_bytes, {sockets.queue_hard_bytes}")
    if not beat.heartbeat_min_s <= beat.heartbeat_s <= beat.heartbeat_max_s:
        within = f"{beat.heartbeat_min_s:g} to {beat.heartbeat_max_s:g} (heartbeat_min_s to heartbeat_max_s)"
        yield Fault("heartbeat.heartbeat_s", f"{beat.heartbeat_s:g}", within)
    if gates.half_open_per_client_max > gates.half_open_max:
        yield Fault("gates.half_open_per_client_max", str(gates.half_open_per_client_max), f"at most half_open_max, {gates.half_open_max}")
    if (proxy.proxy_protocol or proxy.header) and not proxy.networks:
        yield Fault("proxy.networks", "empty", "the balancers' networks, since proxy_protocol or header is set")
    mfa = settings.mfa
    if bool(mfa.rp_id) != bool(mfa.origins):
        yield Fault("mfa.rp_id and mfa.origins", "one without the other", "both, or neither")
    for origin in mfa.origins:
        host = urlsplit(origin).hostname or ""
        if mfa.rp_id and host != mfa.rp_id and not host.endswith("." + mfa.rp_id):
            yield Fault("mfa.origins", repr(origin), f"pages of rp_id, {mfa.rp_id}, or below it")
    if settings.drain.spread_s > settings.drain.grace_s:
        within = f"at most grace_s, {settings.drain.grace_s:g}, or clients would be cut off before their time to go"
        yield Fault("drain.spread_s", f"{settings.drain.spread_s:g}", within)


def _show(setting: Setting, value: Any) -> str:
    if setting.secret:
        return "a secret that is not shown"
    text = repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"


def allowed(setting: Setting, shape: str = "") -> str:
    """What may stand there, in words. `shape` is what a check said beyond the type."""
    if setting.path in _SHAPES and shape and not shape.startswith(("Expected", "Invalid")):
        return shape
    inner, meta = setting.inner, setting.meta
    if get_origin(inner) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(inner))
    if inner is bool:
        return "true or false"
    if inner is int or inner is float:
        kind = "a whole number" if inner is int else "a number"
        low = f"from {meta.ge}" if meta.ge is not None else f"above {meta.gt}"
        return f"{kind} {low} to {meta.le}{_unit(setting.name)}"
    if get_origin(inner) is tuple:
        return f"a list of at most {meta.max_length} texts (in the environment: separated by commas)"
    return "text" + (" that is not empty" if meta.min_length else "")


def _unit(name: str) -> str:
    """A name's last word is its unit."""
    units = {"bytes": "bytes", "s": "seconds", "kib": "KiB"}
    words = [word for word in name.split("_") if word not in ("max", "min")]
    if len(words) > 1 and words[-2] == "per":
        return " a second" if words[-1] == "s" else f" a {words[-1]}"
    return f" {units[words[-1]]}" if words[-1] in units else ""
