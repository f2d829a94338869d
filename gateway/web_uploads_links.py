"""Links to files: whoever has one may read one rendition of one upload for some minutes, and nothing else.

    right, asked now ─▶ sign(hash, rendition, upload) ─▶ /media/<hash>/<rendition>?of=…&until=…&sig=…  ─▶ verify, then the file

A link is made for who may read the message at that moment and says nothing of them. Those that are made within the same while are equal, so
that a browser finds what it has kept.

Invariant: a signature is compared in constant time, and covers everything that the answer depends on.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from actors.uploads import Uploads

PURPOSE: Final = b"educonnect media links 1"
KEY_BYTES: Final = 32
ALIVE_S: Final = 900.0


class MediaLinks:
    """Signs and verifies. `keys`: the one that signs first; each `KEY_BYTES` long. A link lives from `alive_s` to twice that."""

    def __init__(self, keys: Sequence[bytes], alive_s: float = ALIVE_S) -> None:
        assert keys and all(len(key) == KEY_BYTES for key in keys)
        self._keys = tuple(keys)
        self._alive_s = max(1, int(alive_s))

    def until(self, now: float) -> int:
        """When links that are made now end, in Unix seconds."""
        return (int(now) // self._alive_s + 2) * self._alive_s

    def sign(self, sha256: bytes, rendition: str, upload: int, until: int) -> str:
        """The path with everything that reading needs."""
        query = urlencode({"of": upload, "until": until, "sig": _mac(self._keys[0], sha256, rendition, upload, until)})
        return f"/media/{sha256.hex()}/{rendition}?{query}"

    def verify(self, sha256: bytes, rendition: str, upload: int, until: int, signature: str, now: float) -> bool:
        """Whether it is one of ours, for this, and its time is not over."""
        given = signature.encode("ascii", "replace")
        # All of them, so that the time does not say which key it was.
        good = [hmac.compare_digest(_mac(key, sha256, rendition, upload, until).encode(), given) for key in self._keys]
        return any(good) and now < until


class Files(Struct, frozen=True):
    """What the routes about files are given."""

    uploads: Uploads
    links: MediaLinks


def _mac(key: bytes, sha256: bytes, rendition: str, upload: int, until: int) -> str:
    signed = f"{sha256.hex()}/{rendition}/{upload}/{until}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, signed, hashlib.sha256)).rstrip(b"=").decode()
