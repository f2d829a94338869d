"""Claims about the live view: it survives the way through a porthole, names what is wrong, and leaves the terminal as it was."""

from __future__ import annotations

import gc
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from supervisors.live import frame, render, render_json, see, watch
from supervisors.live_drawing import draw_view
from supervisors.porthole import serve_view
from supervisors.pulse import Pulse
from supervisors.sample_view import SAMPLE
from supervisors.troubles import PLACES_MAX, Troubles
from supervisors.view import NodeView


async def sample() -> bytes:
    return msgspec.json.encode(SAMPLE)


async def test_a_view_comes_through_a_porthole_as_it_was(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(serve_view, tmp_path, "gateway", sample)
    await nursery.start(serve_view, tmp_path, "jobs", sample)
    seen = await see([tmp_path])
    assert [view for _, view in seen] == [SAMPLE, SAMPLE]
    assert msgspec.json.decode(render_json(seen), type=dict[str, NodeView]) == dict(seen)


async def test_a_process_that_does_not_answer_is_named(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def never() -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    await nursery.start(serve_view, tmp_path, "gateway", never)
    text = render(await see([tmp_path]), whole=False)
    assert text.startswith("gateway, pid ") and "no answer" in text


async def test_a_view_of_another_version_is_said_to_be_one(tmp_path: Path, nursery: trio.Nursery) -> None:
    async def foreign() -> bytes:
        return b'{"role": 7}'

    await nursery.start(serve_view, tmp_path, "gateway", foreign)
    assert "of another version" in render(await see([tmp_path]), whole=False)


def test_what_is_well_takes_no_lines_and_what_is_not_is_named() -> None:
    text = draw_view("gateway-1", SAMPLE, whole=False)
    assert "NOT WELL   link: hears nothing: heads are polled" in text
    assert "not running\n    gateway/redis/link: backoff\n" in text
    assert "all well" not in text and "database" not in text
    well = msgspec.structs.replace(SAMPLE, states={"database": "up"}, readers=(), streams=(), troubles=())
    text = draw_view("gateway-1", well, whole=False)
    assert "all well   database" in text
    assert not any(title in text for title in ("slowest readers", "busiest of", "restarts\n"))


def test_a_stream_that_is_idle_is_not_among_the_busiest_unless_it_is_behind() -> None:
    stream = msgspec.structs.replace(SAMPLE.streams[0], stream=71, events_per_s=3.0, behind_s=0.0)
    idle = msgspec.structs.replace(stream, stream=72, events_per_s=0.04)
    stuck = msgspec.structs.replace(stream, stream=73, events_per_s=0.0, behind_s=2.0)
    text = draw_view("gateway-1", msgspec.structs.replace(SAMPLE, streams=(stream, stuck, idle)), whole=True)
    assert "stream 71 " in text and "stream 73 " in text and "stream 72 " not in text
    assert "busiest of" not in draw_view("gateway-1", msgspec.structs.replace(SAMPLE, streams=(idle,), streams_behind=0), whole=True)


def test_the_whole_view_has_every_service_of_the_tree() -> None:
    text = draw_view("gateway-1", SAMPLE, whole=True)
    assert "gateway (rest_for_one): running" in text and "└── link: backoff, 3 restarts, last cause: OSError" in text


def test_a_screen_is_cut_to_the_terminal_and_wipes_what_was_there() -> None:
    shown = frame("a" * 200 + "\n" + "b\n" * 50, 80, 24)
    lines = shown.removeprefix("\x1b[H").split("\r\n")
    assert len(lines) == 24 and lines[0] == "a" * 80 + "\x1b[K" and lines[-1] == "\x1b[J"


async def test_the_terminal_is_left_as_it_was_found(tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    await nursery.start(serve_view, tmp_path, "gateway", sample)
    written: list[str] = []
    with trio.move_on_after(3.5):
        await watch([tmp_path], written.append, lambda: (120, 40))
    assert written[0] == "\x1b[?1049h\x1b[?25l" and written[-1] == "\x1b[?25h\x1b[?1049l"
    screens = written[1:-1]
    assert len(screens) >= 3 and all("slowest readers" in screen for screen in screens)


async def test_a_late_event_loop_and_a_collection_are_felt(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    pulse = Pulse()
    await nursery.start(pulse.run)
    await trio.sleep(1.05)
    assert pulse.delay_s.total == 10 and pulse.delay_s.sum == pytest.approx(0.0)
    autojump_clock.jump(0.7)  # as if somebody had held the thread
    await trio.testing.wait_all_tasks_blocked()
    assert max(pulse.recent_s) == pytest.approx(0.65)
    before = pulse.pauses_s[2].total
    gc.collect()
    assert pulse.pauses_s[2].total == before + 1
    nursery.cancel_scope.cancel()


async def test_a_process_that_is_no_longer_felt_leaves_no_callback_behind() -> None:
    before = list(gc.callbacks)
    async with trio.open_nursery() as nursery:
        await nursery.start(Pulse().run)
        assert len(gc.callbacks) == len(before) + 1
        nursery.cancel_scope.cancel()
    assert gc.callbacks == before


def test_troubles_keep_the_latest_places_with_how_often_and_of_what() -> None:
    now = [100.0]
    troubles = Troubles(lambda: now[0])
    troubles.note_in_tree("child_started", "gateway/link", None)
    for _ in range(2):
        troubles.note_in_tree("child_crashed", "gateway/link", ValueError("why"))
    now[0] = 101.0
    for key in range(PLACES_MAX + 5):
        troubles.actor_crashed("user", key, KeyError(key))
    latest = troubles.latest()
    assert len(latest) == PLACES_MAX and (latest[0].place, latest[0].at) == (f"user {PLACES_MAX + 4}", 101.0)
    assert "gateway/link" not in {trouble.place for trouble in latest} and troubles.child_crashes == {"gateway/link": 2}
    troubles.note_in_tree("child_crashed", "gateway/link", ValueError("why"))
    assert (troubles.latest()[0].crashes, troubles.latest()[0].last_cause) == (1, "ValueError: why")
