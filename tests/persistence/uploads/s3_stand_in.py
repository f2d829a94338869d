"""A server that speaks the part of S3 that the object store uses, over a dictionary. It checks no signature."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

BUCKET = "files"


class Bucket:
    """What is in it, and what is asked of it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.asked: list[str] = []
        self.fails = 0
        """How many of the next requests are answered 503."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **fields: str) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", fields.get("Content_Length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _go(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        key = unquote(url.path).removeprefix(f"/{BUCKET}").lstrip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bucket = self.bucket
        bucket.asked.append(f"{self.command} {key}")
        if bucket.fails:
            bucket.fails -= 1
            return self._answer(503)
        match self.command:
            case "PUT" if source := self.headers.get("x-amz-copy-source"):
                bucket.objects[key] = bucket.objects[unquote(source).lstrip("/").removeprefix(f"{BUCKET}/")]
                return self._answer(200, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
            case "PUT" if "uploadId" in query:
                bucket.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
                return self._answer(200, ETag=_etag(body))
            case "PUT":
                bucket.objects[key] = body
                return self._answer(200, ETag=_etag(body))
            case "POST" if "delete" in query:
                keys = [unescape(found) for found in re.findall(r"<Key>([^<]*)</Key>", body.decode())]
                for one in keys:
                    bucket.objects.pop(one, None)
                gone = "".join(f"<Deleted><Key>{escape(one)}</Key></Deleted>" for one in keys)
                return self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())
            case "POST" if "uploads" in query:
                bucket.parts[key] = {}
                return self._answer(200, f"<R><Bucket>b</Bucket><Key>k</Key><UploadId>{escape(key)}</UploadId></R>".encode())
            case "POST" if "uploadId" in query:
                parts = bucket.parts.pop(query["uploadId"][0])
                bucket.objects[key] = b"".join(parts[n] for n in sorted(parts))
                return self._answer(200, b"<R><Location>l</Location><Bucket>b</Bucket><Key>k</Key><ETag>x</ETag></R>")
            case "DELETE":
                bucket.objects.pop(key, None)
                return self._answer(204)
            case "GET" if "list-type" in query:
                return self._list(query.get("prefix", [""])[0])
            case "GET" | "HEAD":
                return self._read(key)
            case _:
                return self._answer(501)

    def _list(self, prefix: str) -> None:
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag><Size>{len(data)}</Size>"
            "</Contents>"
            for key, data in sorted(self.bucket.objects.items())
            if key.startswith(prefix)
        )
        self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())

    def _read(self, key: str) -> None:
        data = self.bucket.objects.get(key)
        if data is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        fields = {"ETag": _etag(data), "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if wanted := self.headers.get("Range"):
            first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            part = data[first : last + 1]
            return self._answer(206, part, Content_Range=f"bytes {first}-{first + len(part) - 1}/{len(data)}", **fields)
        if self.command == "HEAD":
            return self._answer(200, b"", Content_Length=str(len(data)), **fields)
        return self._answer(200, data, **fields)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _go


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


@contextmanager
def s3_stand_in() -> Iterator[tuple[str, Bucket]]:
    """The address of one, and its bucket."""
    bucket = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": bucket}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
