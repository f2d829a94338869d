"""A mail server for development: a folder, with a file for each mail.

Invariant: the same mail sent again is the same file.
"""

from __future__ import annotations

from pathlib import Path

import trio

from gateway.mail.envelope import Envelope


class MailFolder:
    """Takes mails as `gateway.mail.smtp.Smtp` does, and writes them to `folder`. Readable by this user alone: some hold links."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sent = 0
        self.delayed = 0
        self.refused = 0

    async def send(self, envelope: Envelope) -> None:
        """May raise `OSError`."""
        await trio.to_thread.run_sync(self._write, envelope)
        self.sent += 1

    def _write(self, envelope: Envelope) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / (envelope.message_id.strip("<>").partition("@")[0] + ".eml")
        path.touch(mode=0o600)
        path.write_bytes(envelope.message)
