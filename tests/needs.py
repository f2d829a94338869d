"""What some tests need from outside this checkout: looked for, and missed out loud.

A test that cannot run here skips with one line that says what to install. With `REQUIRE_ALL=1` it fails instead, so that the place
which is meant to run everything cannot quietly run less.

Ask in a fixture that is an ordinary function: a skip from inside a trio test loses its line on the way out of the nursery.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

NPM_TIMEOUT_S = 120


def require(program: str, reason: str) -> str:
    """The path of `program`. Without it the test skips, or fails where everything is required; `reason` says what it is for."""
    found = shutil.which(program)
    if found is None:
        refuse(f"{program} is not installed ({reason})")
    return found


def refuse(line: str) -> NoReturn:
    """Ends the test: something outside is missing, and `line` says what."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)


def node_modules(package: str, version: str, reason: str) -> Path:
    """A `node_modules` folder that holds `package`: the one EDUCONNECT_NODE_MODULES names, or one that npm fills, once, in the cache."""
    require("node", reason)
    given = os.environ.get("EDUCONNECT_NODE_MODULES")
    if given is not None:
        if not (Path(given) / package).is_dir():
            refuse(f"npm package {package} is not in EDUCONNECT_NODE_MODULES ({reason})")
        return Path(given)
    npm = require("npm", reason)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "educonnect-tests" / f"{package}-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    # Tests run in several processes: one installs, the others wait for it.
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "node_modules" / package).is_dir():
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(cache), f"{package}@{version}"]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=NPM_TIMEOUT_S)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                refuse(f"npm could not install {package} {version} ({reason})")
    return cache / "node_modules"
