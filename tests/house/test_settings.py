"""Settings: where they come from, and that a bad one is named with its value and with what is allowed."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Annotated, Any, get_origin

import msgspec
import pytest

from actors.channel import ChannelLimits
from actors.session import SessionLimits
from actors.trust_gates import Thresholds
from gateway.admission import Gates
from gateway.http_link import LinkBounds
from gateway.link import LinkOptions
from gateway.matchmaker import MatchOptions
from gateway.options import AuthLimits, HttpBounds, SyncLimits
from gateway.rates import Limit
from persistence.identity.rules import IdentityRules
from persistence.journal import JournalOptions
from persistence.moderation.moderator import ModeratorOptions
from persistence.sessions import SessionRules
from supervisors.generated import ROOT
from supervisors.node import auth_limits, cast_limits, link_bounds, sync_limits
from supervisors.settings import Secret, Settings, Sync
from supervisors.settings_source import BadSettings, known_settings, load, missing_for_serving

KNOWN = known_settings()

ORIGINS_ALLOWED = "a list of origins such as https://learn.example (no path); http only for localhost"


def write(folder: Path, text: str) -> Path:
    path = folder / "educonnect.toml"
    path.write_text(text, "utf-8")
    return path


def faults(config: Path | None = None, **environ: str) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load(config, environ)
    return [str(fault) for fault in caught.value.faults]


def test_without_a_file_and_variables_everything_has_its_default() -> None:
    assert load(None, {"PATH": "/bin"}) == Settings()


@pytest.mark.parametrize("setting", KNOWN.values(), ids=KNOWN)
def test_a_default_lies_within_its_own_range(setting: Any) -> None:
    if not setting.secret:
        msgspec.convert(setting.default, Annotated[setting.inner, setting.meta])


@pytest.mark.parametrize("setting", KNOWN.values(), ids=KNOWN)
def test_every_setting_says_what_it_is_for_and_bounds_its_numbers(setting: Any) -> None:
    assert setting.meta.description
    if setting.inner in (int, float):
        assert setting.meta.ge is not None or setting.meta.gt is not None
        assert setting.meta.le is not None
    if get_origin(setting.inner) is tuple:
        assert setting.meta.max_length is not None


def test_a_variable_beats_the_file_and_the_file_beats_the_default(tmp_path: Path) -> None:
    config = write(tmp_path, "[listen]\nport = 9000\nhost = '0.0.0.0'\n[heartbeat]\nheartbeat_s = 60\n")
    settings = load(config, {"EDUCONNECT_LISTEN_PORT": "9100"})
    assert (settings.listen.port, settings.listen.host, settings.heartbeat.heartbeat_s) == (9100, "0.0.0.0", 60.0)


def test_variables_carry_lists_and_truths(tmp_path: Path) -> None:
    settings = load(None, {"EDUCONNECT_LISTEN_ORIGINS": "https://a.example, https://b.example", "EDUCONNECT_REDIS_SHARDED": "True"})
    assert settings.listen.origins == ("https://a.example", "https://b.example")
    assert settings.redis.sharded


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("EDUCONNECT_LISTEN_PORT", "70000", "a whole number from 0 to 65535"),
        ("EDUCONNECT_LISTEN_PORT", "http", "a whole number from 0 to 65535"),
        ("EDUCONNECT_LISTEN_PORT", "80.5", "a whole number from 0 to 65535"),
        ("EDUCONNECT_HEARTBEAT_PONG_S", "nan", "a number above 0 to 300 seconds"),
        ("EDUCONNECT_HEARTBEAT_PONG_S", "inf", "a number above 0 to 300 seconds"),
        ("EDUCONNECT_HEARTBEAT_PONG_S", "0", "a number above 0 to 300 seconds"),
        ("EDUCONNECT_ACCOUNTS_LOGIN_ADDRESS_PER_MINUTE", "0", "a number above 0 to 100000 a minute"),
        ("EDUCONNECT_LOG_LEVEL", "loud", "one of 'debug', 'info', 'warning', 'error'"),
        ("EDUCONNECT_DATABASE_POOLER", "perhaps", "true or false"),
        ("EDUCONNECT_LISTEN_HOST", "", "text that is not empty"),
        ("EDUCONNECT_LISTEN_ORIGINS", "https://a.example/path", "a list of origins such as https://learn.example (no path), or *"),
        ("EDUCONNECT_MFA_ORIGINS", "http://a.example", ORIGINS_ALLOWED),
        ("EDUCONNECT_MFA_ORIGINS", "*", ORIGINS_ALLOWED),
        ("EDUCONNECT_TRACES_ENDPOINT", "foo", "an http:// or https:// URL such as http://collector:4318"),
        ("EDUCONNECT_TRACES_ENDPOINT", "ftp://x", "an http:// or https:// URL such as http://collector:4318"),
        ("EDUCONNECT_TRACES_ENDPOINT", "http://:4318", "an http:// or https:// URL such as http://collector:4318"),
        ("EDUCONNECT_TRACES_ENDPOINT", "http://x:port", "an http:// or https:// URL such as http://collector:4318"),
        ("EDUCONNECT_PROXY_NETWORKS", "10.0.0.1/8", "a list of networks such as 10.0.0.0/8 or 192.0.2.7/32"),
        ("EDUCONNECT_WEBHOOKS_FORBIDDEN_NETWORKS", "10.0.0.1/8", "a list of networks such as 10.0.0.0/8 or 192.0.2.7/32"),
        ("EDUCONNECT_WEBHOOKS_PORTS", "443,99999", "a list of ports from 1 to 65535, such as 443 and 8443"),
        ("EDUCONNECT_WEBHOOKS_CERTIFICATES", "/none", "a readable PEM file of certificates"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(variable: str, value: str, told: str) -> None:
    (fault,) = faults(**{variable: value})
    assert fault.startswith(f"{variable} is ") and value in fault
    assert fault.endswith(f"; allowed: {told}")


def test_a_number_is_not_taken_for_a_text_in_the_file(tmp_path: Path) -> None:
    (fault,) = faults(write(tmp_path, "[listen]\nport = '8000'\n"))
    assert fault.endswith("listen.port is '8000'; allowed: a whole number from 0 to 65535")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[listen]\nprot = 1\n", "listen.prot is not known; allowed: did you mean listen.port?"),
        ("[databse]\ndsn = 'x'\n", "[databse] is not known; allowed: did you mean [database]?"),
        ("listen = 5\n", "listen is 5; allowed: a table, [listen]"),
        ("[listen\n", "no readable TOML file"),
        ("[listen.port]\nx = 1\n", "listen.port is {'x': 1}; allowed: a whole number from 0 to 65535"),
    ],
)
def test_a_file_with_unknown_names_or_shapes_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (fault,) = faults(write(tmp_path, text))
    assert told in fault


def test_an_unknown_variable_is_refused_with_the_nearest_known_one() -> None:
    (fault,) = faults(EDUCONNECT_LISTEN_PROT="1")
    assert fault == "EDUCONNECT_LISTEN_PROT is not known; allowed: did you mean EDUCONNECT_LISTEN_PORT? see docs/settings.md"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    config = write(tmp_path, "[listen]\nport = -1\n[gates]\nwaiting_s = 'long'\n")
    assert len(faults(config, EDUCONNECT_LOG_FORMAT="xml")) == 3


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path / "nowhere.toml")
    assert "no readable TOML file" in fault


@pytest.mark.parametrize(
    "environ",
    [
        {"EDUCONNECT_LISTEN_TLS_CERTIFICATE": "cert.pem"},
        {"EDUCONNECT_SOCKETS_QUEUE_SOFT_BYTES": "1000000"},
        {"EDUCONNECT_HEARTBEAT_HEARTBEAT_S": "1"},
        {"EDUCONNECT_GATES_HALF_OPEN_MAX": "16"},
        {"EDUCONNECT_PROXY_PROXY_PROTOCOL": "true"},
        {"EDUCONNECT_DRAIN_SPREAD_S": "500"},
        {"EDUCONNECT_MFA_RP_ID": "learn.example"},
        {"EDUCONNECT_MFA_ORIGINS": "https://learn.example"},
        {"EDUCONNECT_MFA_RP_ID": "learn.example", "EDUCONNECT_MFA_ORIGINS": "https://notlearn.example"},
        {"EDUCONNECT_HTTP_LINKS_MAX": "500"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str]) -> None:
    assert len(faults(**environ)) == 1


# Secrets


def test_a_secret_is_shown_nowhere(tmp_path: Path) -> None:
    secret = "hunter2"
    settings = load(None, {"EDUCONNECT_DATABASE_DSN": f"postgresql://u:{secret}@h/d"})
    assert settings.database.dsn.reveal().endswith("@h/d")
    for shown in (repr(settings), str(settings), repr(settings.database), f"{settings.database.dsn}"):
        assert secret not in shown
    try:
        load(write(tmp_path, f"[database]\ndsn = 'mysql://u:{secret}@h'\n[redis]\nurl = 'http://{secret}'\n"), {})
    except BadSettings as bad:
        told = "".join(traceback.format_exception(bad))
    assert secret not in told
    assert "database.dsn is a secret that is not shown; allowed: a URL that begins with postgresql://" in told


def test_a_secret_can_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://u:s@h/d\n")
    settings = load(None, {"EDUCONNECT_DATABASE_DSN_FILE": str(tmp_path / "dsn")})
    assert settings.database.dsn == Secret("postgresql://u:s@h/d")


def test_a_secret_given_twice_or_in_a_missing_file_is_refused(tmp_path: Path) -> None:
    (fault,) = faults(EDUCONNECT_DATABASE_DSN_FILE=str(tmp_path / "nowhere"))
    assert "no readable file" in fault
    (fault,) = faults(EDUCONNECT_DATABASE_DSN_FILE="x", EDUCONNECT_DATABASE_DSN="postgresql://h/d")
    assert "one of the two" in fault


def test_only_secrets_come_from_files() -> None:
    (fault,) = faults(EDUCONNECT_LISTEN_HOST_FILE="x")
    assert "not known" in fault


# What the root does with them


def test_serving_names_what_is_missing_and_the_variable_that_brings_it() -> None:
    missing = [fault.name for fault in missing_for_serving(Settings())]
    assert missing == ["database.dsn", "redis.url", "tokens.key_file"]
    environ = {
        "EDUCONNECT_DATABASE_DSN": "postgresql://h/d",
        "EDUCONNECT_REDIS_URL": "redis://h",
        "EDUCONNECT_TOKENS_KEY_FILE": "keys.pem",
    }
    assert missing_for_serving(load(None, environ)) == []


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("gates", Gates),
        ("redis", LinkOptions),
        ("journal", JournalOptions),
        ("http", HttpBounds),
        ("trust", Thresholds),
        ("moderation", ModeratorOptions),
    ],
)
def test_a_section_converts_to_what_it_configures(section: str, kind: type[Any]) -> None:
    assert msgspec.convert(getattr(Settings(), section), kind, from_attributes=True) == kind()


def test_the_sessions_limits_are_those_of_its_sections() -> None:
    settings, limits = Settings(), SessionLimits()
    assert (settings.limits.in_flight_max, settings.limits.follows_max) == (limits.in_flight_max, limits.follows_max)
    assert settings.heartbeat.heartbeat_s == limits.heartbeat_s


def test_the_limits_on_identity_are_those_of_their_section_each_for_itself() -> None:
    assert auth_limits(Settings()) == AuthLimits()
    for name in AuthLimits.__struct_fields__:
        settings = load(None, {f"EDUCONNECT_ACCOUNTS_{name}_BURST".upper(): "7", f"EDUCONNECT_ACCOUNTS_{name}_PER_MINUTE".upper(): "90"})
        assert auth_limits(settings) == msgspec.structs.replace(AuthLimits(), **{name: Limit(7, 1.5)})


def test_how_often_typing_is_passed_on_and_of_how_many_is_a_setting() -> None:
    assert cast_limits(Settings()).channel == ChannelLimits()
    settings = load(None, {"EDUCONNECT_LIMITS_TYPING_EVERY_S": "0", "EDUCONNECT_LIMITS_TYPISTS_MAX": "7"})
    assert cast_limits(settings).channel == ChannelLimits(typing_every_s=0.0, typists_max=7)


CONVERTED: dict[str, type[Any]] = {
    "gates": Gates,
    "redis": LinkOptions,
    "journal": JournalOptions,
    "http": HttpBounds,
    "trust": Thresholds,
    "matching": MatchOptions,
    "moderation": ModeratorOptions,
    "tokens": SessionRules,
    "identity": IdentityRules,
}
ROOT_SOURCES = "".join(
    path.read_text("utf-8") for path in (ROOT / "supervisors").glob("*.py") if not path.name.startswith(("settings", "doctor", "generated"))
)


@pytest.mark.parametrize("setting", KNOWN.values(), ids=KNOWN)
def test_every_setting_configures_something(setting: Any) -> None:
    converted = CONVERTED.get(setting.section)
    whole = converted is not None and setting.name in converted.__struct_fields__ and f"settings.{setting.section}, " in ROOT_SOURCES
    assert whole or re.search(rf"\.{setting.name}\b", ROOT_SOURCES), "nothing reads it"


def test_every_rate_of_sync_over_http_is_a_setting() -> None:
    assert sync_limits(Settings()) == SyncLimits()
    for name, prefix in (
        ("sync_address", "http_address"),
        ("sync_user", "http_user"),
        ("devices_address", "devices_address"),
        ("devices_user", "devices_user"),
    ):
        settings = Settings(sync=msgspec.convert({f"{prefix}_burst": 7, f"{prefix}_per_minute": 90.0}, Sync))
        assert sync_limits(settings) == msgspec.structs.replace(SyncLimits(), **{name: Limit(7, 1.5)})


def test_how_many_links_over_http_there_may_be_is_a_setting_and_leaves_others_their_connections() -> None:
    assert link_bounds(Settings()) == LinkBounds()
    given = {
        "LINKS_MAX": "500",
        "LINKS_ADDRESS_MAX": "400",
        "LINKS_ADDRESS_BURST": "7",
        "LINKS_ADDRESS_PER_MINUTE": "90",
        "LINKS_POLL_S": "10",
    }
    more = {"EDUCONNECT_HTTP_CONNECTIONS_MAX": "2000", **{f"EDUCONNECT_HTTP_{name}": value for name, value in given.items()}}
    assert link_bounds(load(None, more)) == LinkBounds(links_max=500, per_client_max=400, opened=Limit(7, 1.5), poll_s=10.0)
    assert link_bounds(load(None, {"EDUCONNECT_HTTP_CONNECTIONS_MAX": "2000"})).links_max == 600
    assert link_bounds(load(None, {"EDUCONNECT_HTTP_CONNECTIONS_MAX": "1"})).links_max == 1


def test_what_the_programs_for_people_read_from_the_environment_stops_no_server() -> None:
    read = {name for path in (ROOT / "client").glob("*.py") for name in re.findall(r"EDUCONNECT_[A-Z_]+\b", path.read_text("utf-8"))}
    own = read - {setting.variable for setting in known_settings().values()}
    assert {"EDUCONNECT_PASSWORD", "EDUCONNECT_STORE"} <= own
    assert load(None, dict.fromkeys(own, "x")) == Settings()
