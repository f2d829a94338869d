"""Where the files that come from code lie. The tests of this room ask no other room for it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
