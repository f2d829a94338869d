"""Records the conversations with clients of old schemas: `python -m tests.recordings.record`. Only when their bytes are meant to change.

    script ─▶ house ─▶ schema-1.json …: each message of both clients, and every message that came for either

A recording is the promise to clients that are out there: a server that answers otherwise breaks them. Look at the difference before you
commit a new one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.recordings.conversation import NEW, OLD, script
from tests.recordings.house import House, Socket

FOLDER = Path(__file__).resolve().parent
SCHEMAS = (2, 3, 4)
"""The three before the present one."""
STEP_S = 1.0
"""Time that passes after each message: so timers of a moment have rung."""


class Stage:
    """Both clients' sockets to one house."""

    def __init__(self) -> None:
        self.house = House()
        self._sockets: dict[str, Socket] = {}

    def play(self, who: str, message: bytes) -> dict[str, list[str]]:
        """Sends a message; the messages that came for each, as hex. A client that has no socket, or none any more, opens one."""
        socket = self._sockets.get(who)
        if socket is None or socket.closed is not None:
            socket = self._sockets[who] = Socket(self.house)
        socket.say(message)
        self.house.pass_time(STEP_S)
        return {name: [heard.hex() for heard in one.hear()] for name, one in sorted(self._sockets.items())}


def record(schema: int) -> dict[str, Any]:
    """A whole conversation."""
    stage = Stage()
    steps = []
    for step in script(stage.house, schema):
        heard = stage.play(step.who, step.message)
        steps.append({"about": step.about, "who": step.who, "sends": step.message.hex(), OLD: heard.get(OLD, []), NEW: heard.get(NEW, [])})
    return {"schema": schema, "steps": steps}


def path_of(schema: int) -> Path:
    return FOLDER / f"schema-{schema}.json"


def main() -> int:
    """Writes every recording anew; says which changed."""
    for schema in SCHEMAS:
        text = json.dumps(record(schema), indent=1, ensure_ascii=False) + "\n"
        path = path_of(schema)
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            sys.stdout.write(f"recorded {path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
