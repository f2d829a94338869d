"""The rooms whose branches guide the hunt: all that input reaches before it is in the database."""

from __future__ import annotations

from typing import Final

ROOMS: Final = ("protocol", "actors", "gateway")
