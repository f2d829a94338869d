"""The two ends of the line to models, from the settings: `redis`, `pipe:/path`, or `off`; and where models are kept."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import Final

from actors.model_line import AnsweringLine, AskingLine
from gateway.model_line import RedisAnswering, RedisAsking
from gateway.model_pipe import PipeAnswering, PipeAsking
from gateway.redis_connection import Way, parse_address
from supervisors.settings import Settings

PIPE: Final = "pipe:"


def answering_line(settings: Settings, number: int) -> AnsweringLine:
    """The ML process' end of the line. Raises ValueError where there is none: a process that nobody can ask is a mistake."""
    line = settings.ml.line
    if line.startswith(PIPE):
        return PipeAnswering(Path(line.removeprefix(PIPE)))
    if line == "off":
        raise ValueError("ml.line is off: nobody could ask this process")
    return RedisAnswering(Way(parse_address(settings.redis.url.reveal()), f"educonnect-ml-{number:08x}"), random=random.random)


def asking_line(settings: Settings, number: int) -> AskingLine | None:
    """A gateway's end of the line; None: off."""
    line = settings.ml.line
    if line.startswith(PIPE):
        return PipeAsking(Path(line.removeprefix(PIPE)), random=random.random)
    if line == "off":
        return None
    way = Way(parse_address(settings.redis.url.reveal()), f"educonnect-{number:08x}-ml")
    return RedisAsking(way, origin=number, random=random.random, queue_max=settings.ml.queue_max)


def cache_folder(settings: Settings) -> Path:
    """Where versions that were trained here are kept between starts: private to this user, and made again where it is lost."""
    if settings.ml.cache_folder:
        return Path(settings.ml.cache_folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / f"educonnect-{os.getuid()}" / "models"
