"""A view as somebody sees it on a bad day: what the operating page shows, drawn by the same code as any other."""

from __future__ import annotations

from typing import Final

from supervisors.states import SOUND
from supervisors.tree_state import Phase, TreeState
from supervisors.troubles import Trouble
from supervisors.view import (
    JournalView,
    LinkView,
    ModelView,
    NodeView,
    PoolView,
    ProcessView,
    ReaderView,
    SocketsView,
    StreamView,
    VersionView,
)

_AT: Final = 1_700_000_000.0

_LINK: Final = TreeState("link", "worker", Phase.BACKOFF, 3, "OSError: out of descriptors", 0.0)
_REDIS: Final = TreeState("redis", "one_for_one", Phase.RUNNING, 0, None, 86_400.0, children=(_LINK,))

SAMPLE: Final = NodeView(
    role="gateway",
    at=_AT,
    window_s=1.0,
    tree=TreeState("gateway", "rest_for_one", Phase.RUNNING, 0, None, 86_400.0, children=(_REDIS,)),
    process=ProcessView(4711, 0.93, 412 << 20, 9_870, 0.002, 0.041, 0.180, 0.004),
    states={
        "database": SOUND,
        "journal": SOUND,
        "store": SOUND,
        "redis": SOUND,
        "link": "hears nothing: heads are polled",
        "models": "moderation fails",
    },
    troubles=(
        Trouble("gateway/redis/link", 3, "OSError: out of descriptors", _AT - 2.0),
        Trouble("user 1204", 4, "KeyError: 88", _AT - 61.0),
    ),
    pools=(
        PoolView("channel", 812, 96, 41, "97", 21_400.0, 0, 0, 0, 0),
        PoolView("device", 9_412, 0, 0, "", 3_105.0, 0, 0, 0, 12),
        PoolView("session", 9_412, 14, 3, "88121", 9_870.0, 0, 0, 2, 40),
        PoolView("user", 9_398, 0, 0, "", 12.0, 3, 1, 0, 0),
    ),
    sockets=SocketsView(9_412, 3 << 20, 41, 12.0, 3.0, 3_160.0, 88_400.0, 6.1e6, 4.6, {"good": 6_020, "poor": 2_911, "two_g": 481}),
    streams=(
        StreamView(97, 12, 4_020, 310.0, 0.81, 0.0),
        StreamView(1_033, 140, 55, 4.0, 0.01, 7.4),
    ),
    streams_live=790,
    streams_behind=1,
    readers=(
        ReaderView(88_014, 5_512, 7_001, 65_212, 41.2, 2, "two_g"),
        ReaderView(87_950, 611, 802, 40_960, 3.9, 0, "poor"),
    ),
    journal=JournalView(212, 0.011, 3_080.0, 31.4, 0.0064, 0.010, 0),
    link=LinkView(0.0, 0.0, 1_207, 3, 1, 0),
    models=(
        ModelView("matching", "closed", 1.3, 20_411, {"late": 2}),
        ModelView("moderation", "open for 2.4 s more", 310.0, 1_204_118, {"broken": 37, "late": 12, "open": 903}),
    ),
    store_waiting=3,
    bridge_calls={"primary": 5, "journal": 1},
)

SAMPLE_ML: Final = NodeView(
    role="ml",
    at=_AT,
    window_s=1.0,
    tree=TreeState("ml", "rest_for_one", Phase.RUNNING, 0, None, 86_400.0),
    process=ProcessView(4720, 0.04, 58 << 20, 41, 0.001, 0.003, 0.009, 0.0),
    versions=(
        VersionView("matching@1", "answers", "ready", 4_731, 38.0, 3, 1.3, 1.0, 0.009, 1.2, 61_000, 20_411, 0, 2, 0, 0, ""),
        VersionView(
            "moderation@20261123.021500",
            "answers",
            "resting",
            0,
            0.0,
            0,
            0.0,
            8.2,
            0.021,
            1.1,
            0,
            1_204_118,
            37,
            12,
            0,
            5,
            "killed for its memory: 403 MiB, allowed are 400",
        ),
    ),
)
"""The ML process behind it."""
