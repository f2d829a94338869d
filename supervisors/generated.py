"""The files that come from code, and the one command that writes them: `make generate`, or `--check` to compare only.

    protocol.reference   ─▶ docs/protocol.md         protocol.vectors      ─▶ tests/vectors/frames.json
    protocol.schema      ─▶ docs/protocol.json       protocol.sync_vectors ─▶ tests/vectors/sync.json
    protocol.entity_page ─▶ docs/entities.md         supervisors.settings  ─▶ docs/settings.md
    protocol.learning_vectors ─▶ tests/vectors/learning.json
    protocol.typescript  ─▶ web/sdk/src/*.ts         protocol.session_vectors ─▶ tests/vectors/session.json
    gateway.openapi      ─▶ docs/openapi.json
    supervisors.questions ─▶ docs/operating.md, deploy/grafana/educonnect.json

Invariant: a file named here is never edited by hand; a test compares each with what the code says now.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway import openapi_whole
from protocol import entity_page, learning_vectors, reference, schema, session_vectors, sync_vectors, typescript, vectors
from supervisors import dashboard, operating_page, settings_page

ROOT = Path(__file__).resolve().parent.parent

FILES: dict[str, Callable[[], str]] = {
    "docs/protocol.md": reference.render,
    "docs/protocol.json": lambda: schema.encode_schema().decode(),
    "tests/vectors/frames.json": vectors.encode_vectors,
    "docs/entities.md": entity_page.render,
    "tests/vectors/sync.json": sync_vectors.encode_vectors,
    "tests/vectors/learning.json": learning_vectors.encode_vectors,
    "tests/vectors/session.json": session_vectors.encode_vectors,
    "web/sdk/src/protocol.ts": typescript.render,
    "web/sdk/src/wire.ts": typescript.render_first,
    "web/sdk/src/wire_more.ts": typescript.render_more,
    "web/sdk/src/wire_entities.ts": typescript.render_entities,
    "docs/openapi.json": openapi_whole.render,
    "docs/settings.md": settings_page.render,
    "docs/operating.md": operating_page.render,
    "deploy/grafana/educonnect.json": dashboard.render,
}
"""Each generated file's path from the checkout's root, and what it holds."""


def find_stale(root: Path = ROOT) -> list[str]:
    """The generated files that are missing or differ from what the code says."""
    return [name for name, make in FILES.items() if not (root / name).is_file() or (root / name).read_text("utf-8") != make()]


def write(root: Path = ROOT) -> list[str]:
    """Writes those that differ; answers their names."""
    stale = find_stale(root)
    for name in stale:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name](), "utf-8")
    return stale


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the files; with `--check` says which would change, and fails if any does."""
    parser = argparse.ArgumentParser(prog="python -m supervisors.generated", description="Writes the files that come from code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    arguments = parser.parse_args(argv)
    if arguments.check:
        stale = find_stale()
        for name in stale:
            sys.stderr.write(f"{name} differs from the code: run `make generate`\n")
        return 1 if stale else 0
    for name in write():
        sys.stdout.write(f"wrote {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
