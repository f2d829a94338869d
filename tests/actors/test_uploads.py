"""What a file is by its bytes, and what a name may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.uploads import PLAIN, SNIFF_BYTES, clean_name, sniff
from protocol.values import FILE_NAME_MAX


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", "audio/wav"),
        (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        ("wörter\n".encode(), "text/plain"),
        ("€".encode()[:2], PLAIN),
        (b"a" * (SNIFF_BYTES - 2) + "€".encode(), "text/plain"),
        (b" \n<svg onload=alert(1)>", PLAIN),
        (b"\xef\xbb\xbf<html>", PLAIN),
        (b"#!/bin/sh\x00", PLAIN),
        (b"MZ\x90", PLAIN),
        (b"", PLAIN),
    ],
)
def test_a_file_is_what_its_bytes_are(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


@given(st.binary(max_size=SNIFF_BYTES))
def test_nothing_that_opens_a_tag_is_text(head: bytes) -> None:
    assert sniff(head) != "text/plain" or b"<" not in head


@given(st.text(max_size=400))
def test_a_name_is_one_anywhere(name: str) -> None:
    clean = clean_name(name)
    assert len(clean) <= FILE_NAME_MAX and clean == clean.strip(" .") and clean_name(clean) == clean
    assert not set(clean) & set('/\\:*?"<>|\0\r\n\u202e\u200b')


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\photo.jpg", "photo.jpg"),
        ("..", ""),
        (".htaccess", "htaccess"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("a" * 300 + ".jpeg", "a" * (FILE_NAME_MAX - 5) + ".jpeg"),
        ("  two   words .txt", "two words .txt"),
    ],
)
def test_of_a_path_the_last_part_is_the_name(name: str, clean: str) -> None:
    assert clean_name(name) == clean
