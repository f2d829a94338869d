"""Request heads and bodies: the ones that belong here, and what people send instead.

    Knock(data, kind, owed)     `owed`: the server has heard enough to answer, so silence is a finding

A head is whole when the server can tell that it is; what a body still lacks is the client's fault, and nothing is owed for it.
"""

from __future__ import annotations

import base64
from random import Random
from typing import Final

import msgspec

from gateway.handshake import Elsewhere, Head, Policy, Refusal, decide, parse_head
from proofs.fuzzing.mutation import mutate_bytes

HEAD_BYTES_MAX: Final = 16 * 1024
"""`Gates.head_bytes_max`, as the attacked server has it."""
ROUTES: Final = (
    "/",
    "/health",
    "/ready",
    "/metrics",
    "/.well-known/jwks.json",
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/api/v1/auth/logout-everywhere",
    "/api/v1/auth/sessions",
    "/api/v1/auth/sessions/1",
    "/api/v1/auth/sessions/99999999999999999999",
    "/api/v1/auth/sessions/-1",
    "/api/v1/auth/sessions/%00",
    "/api/v1/auth/../../metrics",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//socket",
    "/socket/",
    "/socket?x=%ff",
    "*",
    "http://elsewhere.example/",
    "/\u00e9",
    "/" + "a" * 3000,
)
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PRI", "get", "BREW", "G" * 40)
KEYS: Final = (
    "",
    "x",
    "AAAA",
    "A" * 24,
    "=" * 24,
    base64.b64encode(bytes(17)).decode(),
    "é" * 22 + "==",
    "AAAAAAAAAAAAAAAAAAAAAA=\t=",
)
VERSIONS: Final = ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.9", "HTTP/11", "http/1.1", "HTTP/1.1 ", "")
FIELDS: Final = (
    b"no colon here",
    b": no name",
    b"Na me: x",
    b"X:\x00",
    b"X: a\x00b",
    b" X: folded",
    b"\tfolded",
    b"X\xc3\xa9: 1",
    b"X: \x7f",
    b"(: 1",
    b"X : 1",
    b"X:\rY: 2",
    b"X:" + b" " * 15_000 + b"\x00",
    b"X:" + b" \t" * 7_000 + b"x\x00",
    b"X: a" + b" a" * 7_000 + b"\x00",
)
REQUEST_LINES: Final = (
    b"GET",
    b"GET /",
    b"GET  / HTTP/1.1",
    b"/ GET HTTP/1.1",
    b"GET / HTTP/1.1 x",
    b"GET /\x00 HTTP/1.1",
    b"GET / HTTP/1.\xb9",
)
CREDENTIALS: Final = ("Bearer", "Bearer ..", "Basic e30=", "Bearer " + "x" * 3000, "Bearer é")
CHUNKS: Final = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nx",
    b"-1\r\n",
    b"5;ext=\x00\r\nhello\r\n0\r\n\r\n",
    b"zz\r\n",
    b"0\r\nX: y\r\n\r\n",
)
LENGTHS: Final = ("-1", "1e3", "99999999999999999999", "5, 6", " 5", "0x10", "٣")
TLS_HELLO: Final = bytes.fromhex("16030100c8010000c40303") + bytes(range(193))


class Knock(msgspec.Struct, frozen=True):
    """What is sent on one fresh connection. With `later`, that follows once the first answer is there."""

    data: bytes
    kind: str
    owed: bool
    later: bytes = b""


def handshake(path: str = "/socket", host: str = "x") -> list[str]:
    """A good handshake's lines."""
    key = base64.b64encode(bytes(16)).decode()
    return [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]


def encode_lines(lines: list[str]) -> bytes:
    """Lines as a head."""
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n"


def any_head(chance: Random) -> tuple[bytes, str]:
    """A head of any kind, without regard to what is owed for it."""
    knock = any_knock(chance, "")
    return knock.data, knock.kind


def any_knock(chance: Random, token: str) -> Knock:
    """Draws a knock. `token` is a real access token for the routes that ask for one, or empty."""
    drawn = chance.random()
    if drawn < 0.35:
        return judge(*_handshake(chance))
    if drawn < 0.60:
        return judge(*_malformed(chance))
    if drawn < 0.90:
        return _request(chance, token)
    if drawn < 0.95:
        good = (
            encode_lines(handshake())
            if chance.random() < 0.5
            else encode_lines(["POST /api/v1/auth/login HTTP/1.1", "Host: x", "Connection: close"])
        )
        data, kind = mutate_bytes(chance, good, good)
        return judge(data, "head:" + kind.partition(":")[2])
    return _connection(chance)


def judge(data: bytes, kind: str) -> Knock:
    """Says whether an answer is owed, as the server would decide it."""
    end = data.find(b"\r\n\r\n")
    if data and not 0x41 <= data[0] <= 0x7A:
        return Knock(data, kind, owed=True)
    if end < 0:
        return Knock(data, kind, owed=len(data) > HEAD_BYTES_MAX)
    if end > HEAD_BYTES_MAX:
        return Knock(data, kind, owed=True)
    head = parse_head(data[: end + 4])
    if isinstance(head, Refusal):
        return Knock(data, kind, owed=True)
    decision = decide(head, Policy())
    return Knock(data, kind, owed=not isinstance(decision, Elsewhere) or _body_is_there(head, data[end + 4 :]))


def _body_is_there(head: Head, body: bytes) -> bool:
    if head.values("transfer-encoding") or head.method in ("HEAD", "CONNECT"):
        return False
    lengths = head.values("content-length")
    if not lengths:
        return True
    return len(lengths) == 1 and lengths[0].isdecimal() and lengths[0].isascii() and len(lengths[0]) < 10 and int(lengths[0]) <= len(body)


def _handshake(chance: Random) -> tuple[bytes, str]:
    lines = handshake(chance.choice(("/socket", "/socket", "/socket", "/socket?v=1", "/sockets", "/")))
    match chance.randrange(14):
        case 0:
            lines[chance.randrange(1, len(lines))] = "X-Nothing: here"
            return encode_lines(lines), "handshake:a field is missing"
        case 1:
            lines.append(lines[chance.randrange(1, len(lines))])
            return encode_lines(lines), "handshake:a field comes twice"
        case 2:
            lines[4] = "Sec-WebSocket-Version: " + chance.choice(("12", "8", "14", "013", "13, 8", "", "x", "٣"))
            return encode_lines(lines), "handshake:version"
        case 3:
            lines[5] = "Sec-WebSocket-Key: " + chance.choice(KEYS)
            return encode_lines(lines), "handshake:key"
        case 4:
            lines[0] = f"{chance.choice(METHODS)} /socket HTTP/1.1"
            return encode_lines(lines), "handshake:method"
        case 5:
            lines[0] = "GET /socket " + chance.choice(VERSIONS)
            return encode_lines(lines), "handshake:http version"
        case 6:
            lines.append("Origin: " + chance.choice(("https://evil.example", "null", "", "https://learn.example\u0000", "é")))
            return encode_lines(lines), "handshake:origin"
        case 7:
            lines.append("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=" + "9" * chance.choice((1, 400)))
            return encode_lines(lines), "handshake:extension"
        case 8:
            lines.append("Sec-WebSocket-Protocol: " + chance.choice((",,,", "educonnect.v1, " * 50, "educonnect.v9", "\u0001", "x" * 5000)))
            return encode_lines(lines), "handshake:subprotocol"
        case 9:
            lengths = ("Content-Length: 5", "Content-Length: -1", "Content-Length: 0", "Transfer-Encoding: chunked")
            lines += chance.sample(lengths, chance.choice((1, 2)))
            return encode_lines(lines) + b"hello", "handshake:body"
        case 10:
            lines[2] = "Upgrade: " + chance.choice(("h2c", "websocket, h2c", "WebSocket", "", "web socket", "TLS/1.0"))
            return encode_lines(lines), "handshake:upgrade"
        case 11:
            lines[3] = "Connection: " + chance.choice(("keep-alive", "close", "Upgrade, close", "upgrade,,", "Upgrade\u000b"))
            return encode_lines(lines), "handshake:connection"
        case 12:
            return encode_lines(lines) + chance.randbytes(chance.choice((1, 100, 5_000))), "handshake:noise behind it"
        case _:
            chance.shuffle(lines)
            return encode_lines(lines), "handshake:shuffled"


def _malformed(chance: Random) -> tuple[bytes, str]:
    lines = handshake() if chance.random() < 0.5 else ["GET /health HTTP/1.1", "Host: x", "Connection: close"]
    good = encode_lines(lines)
    first = good.index(b"\r\n") + 2
    match chance.randrange(10):
        case 0:
            return good[:first] + chance.choice(FIELDS) + b"\r\n" + good[first:], "head:field"
        case 1:
            folded = b"X-Folded: one\r\n  two\r\n\tthree\r\n"
            return good[:first] + folded + good[first:], "head:obs-fold"
        case 2:
            return chance.choice(REQUEST_LINES) + b"\r\n" + good[first:], "head:request line"
        case 3:
            return good.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\r\n", b"\n\r"))), "head:line ends"
        case 4:
            size = chance.choice((16_384, 20_000, 100_000))
            return good[:first] + b"X-Large: " + b"x" * size + b"\r\n" + good[first:], "head:large field"
        case 5:
            count = chance.choice((100, 1_000, 12_000))
            return good[:first] + b"a: b\r\n" * count + good[first:], "head:many fields"
        case 6:
            return b"GET /" + b"x" * chance.choice((8_000, 16_000, 100_000)) + b" HTTP/1.1\r\n" + good[first:], "head:long target"
        case 7:
            return chance.choice((b"\r\n" * 5, b"", b"\x00", b" ")) + good, "head:before it"
        case 8:
            return good[: chance.randrange(1, len(good))], "head:truncated"
        case _:
            return chance.randbytes(chance.choice((1, 10, 300, 20_000))), "head:noise"


def _connection(chance: Random) -> Knock:
    """What happens around a head: other protocols, pipelines, upgrades that come too late."""
    again = encode_lines(["GET /health HTTP/1.1", "Host: x"])
    match chance.randrange(5):
        case 0:
            return Knock(TLS_HELLO, "connection:TLS", owed=True)
        case 1:
            return Knock(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "connection:HTTP/2", owed=True)
        case 2:
            return Knock(again * chance.choice((2, 10, 50)), "connection:pipeline", owed=True)
        case 3:
            return Knock(again, "connection:upgrade after keep-alive", owed=True, later=encode_lines(handshake()) + b"\x82\x80more")
        case _:
            return Knock(again, "connection:noise after keep-alive", owed=True, later=chance.randbytes(50) + b"\r\n\r\n")


def _request(chance: Random, token: str) -> Knock:
    method = chance.choice(("POST", "POST", "POST", "GET", *METHODS))
    path = chance.choice(ROUTES)
    body, kind = any_body(chance)
    body_type = chance.choice(("application/json", "application/json", "text/plain", "", "é"))
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Type: {body_type}"]
    if chance.random() < 0.5:
        lines.append("Authorization: " + chance.choice((f"Bearer {token}", *CREDENTIALS)))
    framing = chance.randrange(8)
    if framing == 0:
        lines.append("Transfer-Encoding: " + chance.choice(("chunked", "chunked, chunked", "gzip", "identity", "xchunked")))
        return judge(encode_lines(lines) + chance.choice(CHUNKS), "request:chunks")
    if framing == 1:
        lines.append("Content-Length: " + chance.choice((*LENGTHS, str(len(body) + 10))))
        return judge(encode_lines(lines) + body, "request:length")
    if framing == 2:
        lines += [f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"]
        return judge(encode_lines(lines) + body, "request:length and chunks")
    lines.append(f"Content-Length: {len(body)}")
    if path.endswith("logout-everywhere") or "sessions/" in path:
        lines = [line for line in lines if token == "" or token not in line]  # its own session is still needed
    return judge(encode_lines(lines) + body, "request:" + kind)


def any_body(chance: Random) -> tuple[bytes, str]:
    """A body for the routes of identity: JSON that hurts, or that is none."""
    depth = chance.choice((10, 900, 3_500))
    name = chance.choice(("a\u0000b", "x" * 200, "ada", "", " ", "\u202eada", "a/../b", "é" * 40, "admin'--"))
    value: object = chance.choice((None, True, 1, -1, 2**63, 2**70, 1.5, "", "x", [], {}, ["x"], {"a": 1}, "\u0000", "🦒" * 300))
    good = {"name": name, "password": "a-long-enough-password", "device": 0, "device_name": "p"}
    damaged = {**good, chance.choice(("name", "password", "device", "device_name", "display_name", "refresh_token", "admin")): value}
    choices = (
        (b"[" * depth, "deep"),
        (b'{"name":' * depth + b"1" + b"}" * depth, "deep"),
        (b'{"device":' + b"9" * 4_000 + b"}", "huge number"),
        (b'{"device":1e' + b"9" * 300 + b"}", "huge exponent"),
        (msgspec.json.encode(damaged), "wrong types"),
        (msgspec.json.encode(damaged), "wrong types"),
        (msgspec.json.encode({"refresh_token": value}), "refresh"),
        (b'{"name":"\\ud800","password":"\\udfff\\ud800aaaaaaaa"}', "surrogates"),
        (b'{"name":"\xff\xfe","password":"x"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "a mark before it"),
        (b"", "empty"),
        (b"null", "null"),
        (b"{}" * 100, "trailing"),
        (b'{"name":"a","name":"b","password":"cccccccccc"}', "double field"),
        (b"x" * 9_000, "too large"),
        (b'{"name":"' + b"a" * 7_000 + b'"}', "long text"),
    )
    return chance.choice(choices)
