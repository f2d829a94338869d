"""The HTTP doors' own reading, and tokens.

json     gateway.web_input   the struct asked for, or a Problem that repeats nothing; names mean what they mean twice
tokens   gateway.tokens      Claims or a Code; claims only for what was signed here
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Hashable, Iterable
from random import Random
from typing import Any, Final, cast

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

import gateway.web_auth
import gateway.web_devices
from actors.accounts import NAME_LENGTH_MAX, Claims, NameRefused, normalise_label, normalise_name
from gateway import web_input
from gateway.options import AUDIENCE, ISSUER
from gateway.problems import Problem
from gateway.tokens import ALGORITHM, KeySet, generate_pem, public_pem
from proofs.fuzzing.heads import any_body
from proofs.fuzzing.mutation import mutate_bytes
from proofs.fuzzing.target import Target, Wrong, plain
from protocol.codes import Code

DOORS: Final[tuple[type[web_input.Input], ...]] = tuple(web_input.Input.__subclasses__())
assert gateway.web_auth.__name__ and gateway.web_devices.__name__ and len(DOORS) >= 4, "the doors are those whose modules are imported"
NOW_S: Final = 1_000_000.0
LABEL_MAX: Final = 64


class _Request:
    """What `web_input` reads of a request."""

    def __init__(self, mimetype: str, body: bytes, headers: dict[str, str]) -> None:
        self.mimetype = mimetype
        self.headers = headers
        self.scope: dict[str, Any] = {"client": ("192.0.2.1", 1)}
        self._body = body

    async def get_data(self, **how: bool) -> bytes:
        return self._body


class JsonTarget(Target):
    """One byte that says which door, then the body, which is the fields of the head as well."""

    name = "json"
    share = 8
    cost_per_byte = 80

    def draw(self, chance: Random) -> tuple[bytes, str]:
        body, kind = any_body(chance)
        if chance.random() < 0.4:
            body, kind = mutate_bytes(chance, body, body)
        return chance.randbytes(1) + body, "json:" + kind

    def take(self, data: bytes) -> Iterable[Hashable]:
        kind = DOORS[(data[0] if data else 0) % len(DOORS)]
        body = data[1:]
        reading = vars(web_input)
        before = reading["request"]
        reading["request"] = _Request("application/json", body, {"User-Agent": body.decode("latin-1")})
        try:
            software = web_input.caller().software
            if not software.isprintable():
                raise Wrong("the software's name holds what cannot be printed")
            read = _finish(web_input.read_json(kind))
        except Problem as problem:
            if problem.status != 400:
                raise Wrong(f"refused with {problem.status}") from None
            return [(kind.__name__, plain(str(problem)))]
        finally:
            reading["request"] = before
        again = msgspec.json.decode(msgspec.json.encode(read), type=kind)
        if again != read:
            raise Wrong("it reads differently when it is written and read again")
        return [kind.__name__, *(self._meaning(text) for text in msgspec.structs.astuple(read) if isinstance(text, str))]

    @staticmethod
    def _meaning(text: str) -> Hashable:
        told: list[Hashable] = []
        for mean in (normalise_name, lambda label: normalise_label(label, "label", LABEL_MAX)):
            try:
                meant = mean(text)
            except NameRefused as refused:
                told.append(plain(str(refused)))
                continue
            if mean(meant) != meant or "\0" in meant or len(meant) > max(NAME_LENGTH_MAX, LABEL_MAX):
                raise Wrong(f"{text!r} means {meant!r}, which is no name")
            meant.encode()
            told.append("a name")
        return tuple(told)


def _finish(reading: Awaitable[Any]) -> Any:
    """The result of something that awaits nothing."""
    coroutine = reading.__await__()
    try:
        next(coroutine)
    except StopIteration as done:
        return done.value
    raise Wrong("it waits for something")


class TokenTarget(Target):
    """A token's text."""

    name = "tokens"
    share = 6
    cost_per_byte = 160
    """Three texts in base64, decoded, and JSON made into objects: tokens have 2 KiB at most."""

    def __init__(self) -> None:
        pem = generate_pem()
        self._keys = KeySet(pem)
        self._public = public_pem(pem)
        self._foreign = Ed25519PrivateKey.generate()
        self._good, _ = self._keys.issue(7, 8, 9, NOW_S)

    def draw(self, chance: Random) -> tuple[bytes, str]:
        if chance.random() < 0.2:
            return self._forged(chance)
        parts = self._good.split(".")
        at = chance.randrange(3)
        whole = base64.urlsafe_b64decode(parts[at] + "==")
        match chance.randrange(5):
            case 0:
                whole, _ = mutate_bytes(chance, whole, whole)
            case 1:
                depth = chance.choice((10, 500, 1_200))
                whole = b'{"kid":' + b"[" * depth + b"]" * chance.choice((0, depth)) + b"}"
            case 2:
                hostile = chance.choice((b"null", b"1e999", b"[]", b'"x"', b"-1", b"9" * 400, b'{"a":1}', b"NaN"))
                form = chance.choice((b"%s", b'{"kid":%s}', b'{"alg":%s}', b'{"alg":"EdDSA","kid":"x","crit":%s}', b'{"typ":%s}'))
                whole = form % hostile
            case 3:
                parts[at], _ = _damaged(chance, parts[at])
                return ".".join(parts).encode(), "tokens:base64"
            case _:
                whole = chance.randbytes(chance.randint(0, 80))
        parts[at] = base64.urlsafe_b64encode(whole).rstrip(b"=").decode()
        return ".".join(parts[: chance.choice((0, 1, 2, 3, 3, 3, 3))])[:2048].encode(), "tokens:part"

    def _forged(self, chance: Random) -> tuple[bytes, str]:
        """Good claims under another signature, or none."""
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "7", "did": 8, "sid": 9, "iat": int(NOW_S), "exp": int(NOW_S) + 900}
        header = {"kid": self._keys.signing_kid, "typ": "JWT"}
        match chance.randrange(5):
            case 0:
                return jwt.encode(claims, "", algorithm="none", headers=header).encode(), "tokens:none"
            case 1:
                raw = cast(Ed25519PublicKey, load_pem_public_key(self._public.encode())).public_bytes_raw()
                return sign_with_secret(
                    claims, header, chance.choice((self._public.encode(), raw))
                ).encode(), "tokens:public key as a secret"
            case 2:
                return jwt.encode(claims, self._foreign, algorithm=ALGORITHM, headers=header).encode(), "tokens:foreign"
            case 3:
                foreign = KeySet(generate_pem())
                return foreign.issue(7, 8, 9, NOW_S)[0].encode(), "tokens:foreign"
            case _:
                sub, did = chance.choice((("0", 8), ("x", 8), ("7", -1), (str(2**53), 8), ("٧", 8), (" 7", 8), ("7", 2**70)))
                key = self._keys._signing  # its own key, for claims that it would never sign
                assert key is not None
                odd = jwt.encode(claims | {"sub": sub, "did": did}, key[1], algorithm=ALGORITHM, headers=header)
                return odd.encode(), "tokens:odd claims"

    def pieces(self, data: bytes) -> list[bytes]:
        return data.split(b".")

    def take(self, data: bytes) -> Iterable[Hashable]:
        token = data.decode("utf-8", "surrogateescape")
        claims = self._keys.verify(token, NOW_S + 1)
        if isinstance(claims, Code):
            if claims is not Code.UNAUTHENTICATED:
                raise Wrong(f"refused with {claims!r}")
            return [(claims, min(token.count("."), 4))]
        if claims != Claims(7, 8, 9, int(NOW_S), int(NOW_S) + 900) and not self._signed_here(token):
            raise Wrong(f"forged: {claims}")
        return ["claims", claims.user]

    def _signed_here(self, token: str) -> bool:
        key = load_pem_public_key(self._public.encode())
        try:
            jwt.api_jws.decode(token, key, algorithms=[ALGORITHM])  # type: ignore[arg-type]
        except jwt.PyJWTError:
            return False
        return True


def sign_with_secret(claims: dict[str, Any], header: dict[str, Any], secret: bytes) -> str:
    """A token under HS256. PyJWT refuses to sign with what looks like a public key, which is why this is done by hand."""
    head = _base64(json.dumps(header | {"alg": "HS256"}).encode()) + "." + _base64(json.dumps(claims).encode())
    signed = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{head}.{_base64(signed.sign(head.encode(), secret))}"


def _damaged(chance: Random, text: str) -> tuple[str, str]:
    data, word = mutate_bytes(chance, text.encode(), text.encode())
    return data.decode("latin-1"), word


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
