"""What a running system writes to its log, as JSON: known events, one line a session, and nothing that anybody said or keeps secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from client import connect
from protocol.values import Role
from supervisors.log_events import EVENTS
from tests.system.running import PASSWORD, Dev, community, register, texts

TEXT = "a word between the two of us"
NAME = "somebody-with-a-name"


async def test_the_log_names_known_events_and_repeats_nothing_that_was_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUCONNECT_LOG_FORMAT", "json")
    dev = await trio.to_thread.run_sync(lambda: Dev(tmp_path, "--no-demo", "--verbose"))
    try:
        (url,) = dev.urls
        credentials = await register(url, NAME)
        async with connect(url, credentials) as learner, community(url, (learner, Role.LEARNER)) as (owner, _, general):
            await owner.say(general, TEXT)
            assert await texts(learner, general, TEXT) == [TEXT]
        secrets = [TEXT, PASSWORD, NAME, credentials.access_token, credentials.login.refresh_token]
    finally:
        assert await trio.to_thread.run_sync(dev.stop) == 0
    log = capfd.readouterr().err
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines} <= set(EVENTS)
    assert {"node_started", "session_ended", "drain_began"} <= {line["event"] for line in lines}
    ended = [line for line in lines if line["event"] == "session_ended"]
    assert len(ended) == 2, "one line a session"
    [mine] = [line for line in ended if line["device"] == credentials.device]
    assert mine["user"] == credentials.user and mine["reason"] == "BYE" and mine["seconds"] > 0
    assert mine["bytes_in"] > 100 and mine["bytes_out"] > 100 and mine["frames_in"] >= 3 and mine["lags"] == 0
    assert [secret for secret in secrets if secret in log] == []
