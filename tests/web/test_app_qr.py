"""The picture from which an authenticator app reads its key, of every size: a reader that was written apart finds the text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.web.qr_reader import read_qr
from tests.web.test_app_build import run_node
from tests.web.tools import install

# By version from 1: how many bytes have room at level M (table 7 of the standard).
ROOM = (14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331, 362, 412, 450, 504, 560, 624, 666)
DRAW = """
import { build } from "esbuild"
const { outputFiles } = await build({ entryPoints: ["app/src/pages/account/qr.ts"], bundle: true, format: "esm", write: false })
const { drawQr } = await import("data:text/javascript," + encodeURIComponent(outputFiles[0].text))
const asked = JSON.parse(process.argv[1])
console.log(JSON.stringify(asked.map((text) => { try { return drawQr(text) } catch (error) { return error.name } })))
"""


@pytest.fixture(scope="module")
def web() -> Path:
    return install()


def test_a_picture_of_any_size_is_read_as_what_was_drawn(web: Path) -> None:
    long = "otpauth://totp/EduConnect:" + "سلام%20habari%20" * 60
    texts = ["", "a"]
    for room in ROOM:
        exact = long.encode()[:room].decode(errors="ignore")
        texts += [exact, exact + "x" * (room - len(exact.encode()))]
    done = run_node(web, "--input-type=module", "-e", DRAW, json.dumps(texts))
    assert done.returncode == 0, done.stderr
    drawn = json.loads(done.stdout)
    for text, picture in zip(texts, drawn, strict=True):
        assert read_qr(picture["path"]) == text
    sizes = [picture["size"] for picture in drawn[3::2]]
    assert sizes == [4 * version + 17 for version in range(1, 21)], "each as small as it can be"


def test_a_text_that_is_too_long_is_refused(web: Path) -> None:
    done = run_node(web, "--input-type=module", "-e", DRAW, json.dumps(["x" * 667]))
    assert json.loads(done.stdout) == ["RangeError"]
