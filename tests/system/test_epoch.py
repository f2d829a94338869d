"""A database that was put back to an earlier time: clients hear of it, and give back what it had acknowledged."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import psutil
import pytest
import trio

from client import connect
from protocol.values import Role
from tests.fixtures_postgres import execute
from tests.system.running import Dev, community, register, texts
from tests.system.test_life import children, educonnect

pytestmark = pytest.mark.xdist_group("system-life")


def rewind(stream: int, seq: int) -> tuple[str, ...]:
    """What makes a database look as it did when `stream` ended at `seq`, for those who spoke there since."""
    return (
        f"delete from outcomes o using devices d, log l where o.device_id = d.id and l.author = d.user_id and o.value = l.seq"
        f" and l.stream_id = {stream} and l.seq > {seq}",
        f"update devices d set last_number = last_number - (select count(*) from log l where l.author = d.user_id"
        f" and l.stream_id = {stream} and l.seq > {seq})",
        f"delete from log where stream_id = {stream} and seq > {seq}",
        f"update streams set head = {seq} where id = {stream}",
    )


def rebuilt(folder: Path) -> None:
    """Waits until the gateway's tree says that its actors were built anew for another epoch."""
    drawing = ""
    while "EpochChanged" not in drawing:
        drawing = educonnect("tree", "--live", "--portholes", str(folder / "run")).stdout


async def test_after_a_bump_clients_give_back_what_the_database_forgot(tmp_path: Path) -> None:
    dev = await trio.to_thread.run_sync(lambda: Dev(tmp_path, "--gateways", "1", "--no-demo"))
    try:
        (url,) = dev.urls
        (gateway,) = (psutil.Process(process.pid) for process in children(dev)["gateway"])
        dsn = gateway.environ()["EDUCONNECT_DATABASE_DSN"]
        async with connect(url, await register(url)) as learner, community(url, (learner, Role.LEARNER)) as (owner, _, general):
            for text in ("kept", "lost", "lost too"):
                await owner.say(general, text)
            assert await texts(learner, general, "lost too") == ["kept", "lost", "lost too"]
            # An image of the disk is put back and the operator says so: the gateway drops what it remembers, and nobody restarts it.
            await trio.to_thread.run_sync(partial(execute, dsn, *rewind(general, 1)))
            before = educonnect("epoch", EDUCONNECT_DATABASE_DSN=dsn).stdout
            bumped = await trio.to_thread.run_sync(partial(educonnect, "epoch", "--bump", EDUCONNECT_DATABASE_DSN=dsn))
            assert re.match(r"epoch \d+", bumped.stdout) and bumped.stdout != before
            with trio.fail_after(60):
                await trio.to_thread.run_sync(partial(rebuilt, tmp_path))
                assert await learner.say(general, "a new word") > 1
                assert await owner.say(general, "the last word") > 1
                heard = await texts(owner, general, "the last word")
            assert heard[0] == "kept" and heard[-1] == "the last word"
            assert sorted(heard) == sorted(["kept", "lost", "lost too", "a new word", "the last word"])
            assert heard.index("lost") < heard.index("lost too")
    finally:
        assert await trio.to_thread.run_sync(dev.stop) == 0
