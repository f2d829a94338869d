"""Files that come with messages, put together for one process.

FileRoom(bridge, keys, settings) ─┬ files ─────────▶ the HTTP side, in every gateway
                                  ╰ kinds, CRONS ──▶ what finishes, renders and collects, in the role `jobs`
"""

from __future__ import annotations

from typing import Any, Final

from actors.jobs import Cron, JobKind, Way, Work
from gateway.tokens import KeySet
from gateway.web_uploads_links import KEY_BYTES, PURPOSE, Files, MediaLinks
from persistence.bridge import Bridge
from persistence.objects import Objects, S3Options
from persistence.uploads.book import PostgresUploads
from persistence.uploads.collecting import Collector
from persistence.uploads.finishing import Finisher
from persistence.uploads.rules import COLLECT, FINISH, RENDER, Collect, Finish, Render, UploadRules
from persistence.uploads.scanning import Scanner
from sandbox.process import run_in_sandbox
from supervisors.settings import Uploads

SWEEP: Final = "uploads.sweep"
QUICK: Final = Way(first_s=1.0, most_s=300.0, at_once_max=2)
"""Somebody waits for it; two at once, since each has a file, or what a picture unfolds to, in a process beside this one."""
CHORE: Final = Way(first_s=60.0, most_s=3600.0, at_once_max=1)
CRONS: Final = (Cron("uploads", SWEEP, Collect(), every_s=600.0),)


class FileRoom:
    """The parts above. Where no store is set there are none: `files` is None."""

    def __init__(self, bridge: Bridge, keys: KeySet, settings: Uploads) -> None:
        self.files: Files | None = None
        self.objects: Objects | None = None
        self._kinds: tuple[JobKind, ...] = ()
        if not settings.store:
            return
        s3 = S3Options(settings.s3_endpoint, settings.s3_region, settings.s3_key_id, settings.s3_secret.reveal())
        objects = self.objects = Objects(settings.store, s3)
        rules = UploadRules(settings.bytes_max, settings.person_bytes_max, settings.space_bytes_max, settings.wait_hours)
        links = MediaLinks(keys.derive(PURPOSE, KEY_BYTES), settings.link_s)
        self.files = Files(PostgresUploads(bridge, objects, rules), links)
        finisher = Finisher(bridge, objects, Scanner(settings.scanner), run_in_sandbox)
        collector = Collector(bridge, objects)
        self._kinds = (
            JobKind(FINISH, Finish, finisher.finish, timeout_s=600.0, way=QUICK),
            JobKind(RENDER, Render, finisher.render, attempts_max=4, timeout_s=180.0, way=QUICK),
            JobKind(COLLECT, Collect, collector.collect, timeout_s=600.0, way=CHORE),
            JobKind(SWEEP, Collect, collector.sweep, timeout_s=1800.0, way=CHORE),
        )

    def kinds(self) -> tuple[JobKind, ...]:
        """What jobs there are; without a store they only say that nothing is to be done."""
        return self._kinds or tuple(JobKind(name, Collect, _nothing) for name in (COLLECT, SWEEP))


async def _nothing(work: Work[Any]) -> None:
    """No store: nothing has ever been kept."""
