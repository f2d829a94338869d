"""Stand-ins for push services on loopback, over real HTTP: how they check and decrypt is written from the standards, apart from our code.

WebPushService   RFC 8030, 8188, 8291, 8292: signature, audience, life; ECDH, HKDF, AES-GCM by hand
FcmService       the token endpoint of OAuth and messages:send
ApnsService      HTTP/2 in the clear (prior knowledge), provider token, headers
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import h2.config
import h2.connection
import h2.events
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

Answer = tuple[int, dict[str, str], bytes]


def unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Browser:
    """A subscription as a browser has it: its keys never leave it."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.p256dh = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.auth = hashlib.sha256(self.p256dh).digest()[:16]

    def decrypt(self, body: bytes) -> Any:
        """RFC 8291, section 3.4, and RFC 8188 for one record. Raises where anything is not as it must be."""
        salt, record_bytes, key_bytes = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + key_bytes], body[21 + key_bytes :]
        assert key_bytes == 65 and len(sealed) <= record_bytes and len(body) <= 4096
        shared = self._private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        material = hmac.digest(hmac.digest(self.auth, shared, "sha256"), b"WebPush: info\0" + self.p256dh + sender + b"\1", "sha256")
        key = hmac.digest(salt, material, "sha256")
        content = hmac.digest(key, b"Content-Encoding: aes128gcm\0\1", "sha256")[:16]
        nonce = hmac.digest(key, b"Content-Encoding: nonce\0\1", "sha256")[:12]
        plain = AESGCM(content).decrypt(nonce, sealed, b"").rstrip(b"\0")
        assert plain.endswith(b"\2"), "the last record"
        return json.loads(plain[:-1])


class Service:
    """What came, and what is answered. `answers` are used up first."""

    def __init__(self) -> None:
        self.url = ""
        self.taken: list[Any] = []
        self.complaints: list[str] = []
        self.answers: list[Answer] = []

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        raise NotImplementedError

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if self.answers:
            return self.answers.pop(0)
        try:
            return self.answer(method, path, headers, body)
        except Exception as error:  # noqa: BLE001 - a test's server says what it did not like
            self.complaints.append(repr(error))
            return 400, {}, b"{}"


class WebPushService(Service):
    """A push service with one subscription, at `/push/1`."""

    def __init__(self, now: Callable[[], float], public_key: str) -> None:
        super().__init__()
        self.browser = Browser()
        self._now = now
        self._public_key = public_key
        self.headers: list[dict[str, str]] = []

    def expect_key(self, public_key: str) -> None:
        """The key that its browser subscribed with."""
        self._public_key = public_key

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        assert (method, path) == ("POST", "/push/1")
        assert headers["content-encoding"] == "aes128gcm" and 0 < int(headers["ttl"]) <= 28 * 86_400
        assert headers["urgency"] in ("very-low", "low", "normal", "high")
        assert len(headers.get("topic", "")) <= 32
        self._check_vapid(headers["authorization"])
        self.headers.append(headers)
        self.taken.append(self.browser.decrypt(body))
        return 201, {"Location": f"{self.url}/message/1"}, b""

    def _check_vapid(self, field: str) -> None:
        scheme, _, rest = field.partition(" ")
        given = dict(pair.strip().split("=", 1) for pair in rest.split(","))
        assert scheme == "vapid" and given["k"] == self._public_key
        head, claims, signature = given["t"].split(".")
        raw = unpad(signature)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unpad(given["k"]))
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
        assert json.loads(unpad(head))["alg"] == "ES256"
        said = json.loads(unpad(claims))
        assert said["aud"] == self.url and self._now() < said["exp"] <= self._now() + 86_400
        assert said["sub"].startswith(("mailto:", "https:"))


class FcmService(Service):
    """Google's two endpoints. `tokens_given`: how often an access token was asked for."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self.key = rsa.generate_private_key(65537, 2048)
        self.tokens_given = 0

    def account(self) -> bytes:
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "learn-1",
                "private_key_id": "k1",
                "private_key": pem,
                "client_email": "push@learn-1.example",
                "token_uri": f"{self.url}/token",
            }
        ).encode()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        assert method == "POST"
        if path == "/token":
            return self._grant(parse_qs(body.decode()))
        assert path == "/v1/projects/learn-1/messages:send" and headers["content-type"] == "application/json"
        assert headers["authorization"] == f"Bearer access-{self.tokens_given}"
        said = json.loads(body)["message"]
        assert all(isinstance(value, str) for value in said["data"].values())
        assert said["android"]["ttl"].endswith("s") and said["android"]["priority"] in ("HIGH", "NORMAL")
        self.taken.append(said)
        return 200, {"Content-Type": "application/json"}, b'{"name": "projects/learn-1/messages/1"}'

    def _grant(self, form: dict[str, list[str]]) -> Answer:
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        options: Any = {"verify_exp": False, "verify_iat": False}
        claims = jwt.decode(form["assertion"][0], self.key.public_key(), ["RS256"], audience=f"{self.url}/token", options=options)
        assert claims["iss"] == "push@learn-1.example" and claims["scope"].endswith("firebase.messaging")
        assert abs(claims["iat"] - self._now()) < 60 and claims["exp"] - claims["iat"] <= 3600
        self.tokens_given += 1
        return 200, {}, json.dumps({"access_token": f"access-{self.tokens_given}", "expires_in": 3599, "token_type": "Bearer"}).encode()


class ApnsService(Service):
    """Apple's endpoint. `connections`: how many were opened."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.headers: list[dict[str, str]] = []
        self.provider_tokens: set[str] = set()
        self.connections = 0

    def pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        assert method == "POST" and path.startswith("/3/device/") and bytes.fromhex(path.removeprefix("/3/device/"))
        scheme, _, token = headers["authorization"].partition(" ")
        assert scheme == "bearer" and jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY1", "typ": "JWT"}
        claims = jwt.decode(token, self.key.public_key(), ["ES256"], options={"verify_iat": False})
        assert claims["iss"] == "TEAM1"
        if self._now() - claims["iat"] > 3600:
            return 403, {}, b'{"reason": "ExpiredProviderToken"}'
        assert headers["apns-topic"] == "org.example.learn" and headers["apns-push-type"] == "alert"
        assert headers["apns-priority"] in ("5", "10") and int(headers["apns-expiration"]) > self._now()
        assert len(headers.get("apns-collapse-id", "").encode()) <= 64 and len(body) <= 4096
        self.provider_tokens.add(token)
        self.headers.append(headers)
        self.taken.append(json.loads(body))
        return 200, {"apns-id": headers["apns-id"]}, b""


@contextmanager
def serving_http(service: Service) -> Iterator[None]:
    """Serves over HTTP/1.1 in threads of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            fields = {name.lower(): value for name, value in self.headers.items()}
            status, headers, said = service.respond("POST", self.path, fields, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: it would go to standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving_http2(service: ApnsService) -> Iterator[None]:
    """Serves over HTTP/2 with prior knowledge, a thread a connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    service.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            service.connections += 1
            open_sockets.append(connection)
            threading.Thread(target=_speak_http2, args=(connection, service), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in open_sockets:
            connection.close()


def _speak_http2(connection: socket.socket, service: ApnsService) -> None:
    speaker = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    speaker.initiate_connection()
    requests: dict[int, tuple[dict[str, str], bytearray]] = {}
    try:
        connection.sendall(speaker.data_to_send())
        while data := connection.recv(65_536):
            for event in speaker.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    assert event.headers is not None
                    requests[event.stream_id] = ({str(name): str(value) for name, value in event.headers}, bytearray())
                elif isinstance(event, h2.events.DataReceived):
                    assert event.data is not None
                    requests[event.stream_id][1].extend(event.data)
                    speaker.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    assert event.stream_id is not None
                    fields, body = requests.pop(event.stream_id)
                    status, headers, said = service.respond(fields[":method"], fields[":path"], fields, bytes(body))
                    speaker.send_headers(event.stream_id, [(":status", str(status)), *headers.items()], end_stream=not said)
                    if said:
                        speaker.send_data(event.stream_id, said, end_stream=True)
            connection.sendall(speaker.data_to_send())
    except OSError:
        return
