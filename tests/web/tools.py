"""The tools of the web folder, installed once as its lock says, whichever process of the tests is first."""

from __future__ import annotations

import fcntl
import hashlib
import re
import subprocess
from pathlib import Path

from tests.needs import refuse, require

WEB = Path(__file__).resolve().parents[2] / "web"
NPM_S = 120


def install() -> Path:
    """The web folder, with node and the tools of its lock. Without them the test skips, or fails where everything is required."""
    require("node", "runs and builds what is in web")
    npm = require("npm", "installs the tools of the web folder")
    done = WEB / "node_modules" / ".installed"
    with (WEB / "package-lock.json").open("rb") as lock:
        # `npm ci` empties the folder first: two at once would each take the other's files away.
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = hashlib.sha256(lock.read()).hexdigest()
        if not done.is_file() or done.read_text() != wanted:
            try:
                subprocess.run([npm, "ci"], cwd=WEB, check=True, capture_output=True, timeout=NPM_S)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                refuse("npm could not install the tools of the web folder")
            done.write_text(wanted)
    return WEB


def bounded(said: str) -> dict[str, tuple[int, int]]:
    """What a build says of its sizes, by what it is of: bytes after brotli, and how many it may be at most (web/bounds.mjs)."""
    found = re.findall(r"^(.+): (\d+) bytes brotli, at most (\d+)$", said, re.MULTILINE)
    return {of: (int(size), int(most)) for of, size, most in found}
