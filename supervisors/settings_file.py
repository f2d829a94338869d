"""Writes a settings file: what `educonnect dev` gives its processes, so that an operator's commands reach the same servers.

    variables (EDUCONNECT_…) ─ load ─▶ values ─▶ TOML, mode 0600 ─ educonnect jobs --config FILE ─▶ the same values

Invariant: what is written is read again as the same settings; nobody but its owner reads it, since addresses of servers hold passwords.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from supervisors.settings import Secret
from supervisors.settings_source import FILE_SUFFIX, known_settings, load

FILE_NAME = "settings.toml"
HEADER = "# Written at each start: what is changed here is lost. A setting for good is an environment variable of `educonnect dev`.\n"


def render_settings(environ: Mapping[str, str]) -> str:
    """The settings among these variables as a TOML document. Raises `BadSettings`."""
    settings = load(None, environ)
    lines: dict[str, list[str]] = {}
    for setting in known_settings().values():
        if setting.variable in environ or (setting.secret and setting.variable + FILE_SUFFIX in environ):
            value = getattr(getattr(settings, setting.section), setting.name)
            # A text, a number, a list of texts and a truth value are written in JSON as they are in TOML.
            shown = json.dumps(value.reveal() if isinstance(value, Secret) else value, ensure_ascii=False)
            lines.setdefault(setting.section, []).append(f"{setting.name} = {shown}\n")
    return HEADER + "".join(f"\n[{section}]\n{''.join(given)}" for section, given in lines.items())


def write_settings(path: Path, environ: Mapping[str, str]) -> None:
    """Puts that document in the place of whatever was there: whole, or not at all. Blocks."""
    handle, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(render_settings(environ))
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
