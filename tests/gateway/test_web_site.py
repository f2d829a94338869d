"""The web app as it is served: by exact name, packed as the browser takes it, under a policy that lets nothing else run."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from gateway.web_site import FOR_EVER, NOT_BUILT, POLICY, create_site, load_site
from tests.gateway.web_world import World

SITE = load_site()
SCRIPTS = [name for name in SITE if name.startswith("app/") and name.endswith(".js")]
STYLE = next(name for name in SITE if name.endswith(".css"))


async def test_the_page_is_asked_for_anew_each_time_and_is_small() -> None:
    answer = await World().ask("GET", "/")
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert b"EduConnect" in answer.body and len(answer.body) < 3000
    again = await World().ask("GET", "/", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304 and again.body == b""


async def test_what_the_page_names_is_there_and_kept_for_ever() -> None:
    world = World()
    page = (await world.ask("GET", "/")).body.decode()
    named = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(named) >= 2
    for path in named:
        answer = await world.ask("GET", path)
        assert answer.status == 200, path
        assert answer.headers["Cache-Control"] == (FOR_EVER if path.startswith("/app/") else "no-cache")


async def test_nothing_inline_and_nothing_of_elsewhere_may_run() -> None:
    answer = await World().ask("GET", "/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not re.search(rb"<script>|<style>| style=| on\w+=|https?:", answer.body)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_and_its_worker_may_do_what_the_app_needs_and_what_can_be_shown_by_itself_nothing() -> None:
    world = World()
    paths = ("/", "/worker.js", "/icon.svg", "/app/none.js")
    policies = {path: (await world.ask("GET", path)).headers["Content-Security-Policy"] for path in paths}
    assert policies["/"] == policies["/worker.js"] == POLICY
    for path in ("/icon.svg", "/app/none.js"):
        assert policies[path].startswith("default-src 'none'") and "script-src" not in policies[path]


async def test_a_script_is_its_type_and_its_own_sites_and_says_nothing_that_only_binds_a_page() -> None:
    world = World()
    for path in (f"/{SCRIPTS[0]}", f"/{STYLE}"):
        fields = (await world.ask("GET", path)).headers
        assert fields["X-Content-Type-Options"] == "nosniff" and fields["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Content-Security-Policy" not in fields and "Referrer-Policy" not in fields
    assert (await world.ask("GET", "/worker.js")).headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(("accepted", "coding"), [("gzip, br", "br"), ("gzip", "gzip"), ("identity", ""), ("br;q=0", "")])
async def test_a_file_comes_as_the_browser_takes_it(accepted: str, coding: str) -> None:
    answer = await World().ask("GET", f"/{SCRIPTS[0]}", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding", "") == coding and answer.headers["Vary"] == "Accept-Encoding"
    file = SITE[SCRIPTS[0]]
    assert answer.body == file.bodies[coding]
    if coding == "gzip":
        assert gzip.decompress(answer.body) == file.bodies[""]


@pytest.mark.parametrize("name", ["../web_site.py", "..%2f..%2fweb_site.py", "nothing.js", "index.html", "%00", "app.js.br"])
async def test_only_files_of_the_build_are_there(name: str) -> None:
    answer = await World().ask("GET", f"/app/{name}")
    assert answer.status == 404


async def test_a_checkout_without_the_app_says_how_it_is_built(tmp_path: Path) -> None:
    assert load_site(tmp_path) == {}
    assert create_site({}) is not None and "app/build.mjs" in NOT_BUILT
