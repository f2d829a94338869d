"""A certificate for the link's server as public ones are today: a leaf and one intermediate are sent, the root is known.

Its size is felt: at 50 kbit/s each kilobyte of a handshake is a sixth of a second. All systems show the same one.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from bench.link import SERVER_ADDRESS


class TlsFiles(msgspec.Struct, frozen=True):
    """Paths: what a server shows, its key, and the root that clients trust."""

    chain: str
    key: str
    root: str
    chain_bytes: int


def make_tls(folder: Path) -> TlsFiles:
    """Makes the files. Nobody else trusts them."""
    root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certify("Bench Root", root_key.public_key(), "Bench Root", root_key)
    middle = _certify("Bench Intermediate E1", middle_key.public_key(), "Bench Root", root_key)
    leaf = _certify("learn.example", key.public_key(), "Bench Intermediate E1", middle_key, leaf=True)
    chain_bytes = sum(len(one.public_bytes(serialization.Encoding.DER)) for one in (leaf, middle))
    files = TlsFiles(str(folder / "chain.pem"), str(folder / "key.pem"), str(folder / "root.pem"), chain_bytes)
    pem = serialization.Encoding.PEM
    Path(files.chain).write_bytes(leaf.public_bytes(pem) + middle.public_bytes(pem))
    Path(files.root).write_bytes(root.public_bytes(pem))
    Path(files.key).write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    Path(files.key).chmod(0o600)
    return files


def _certify(
    name: str, key: ec.EllipticCurvePublicKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, leaf: bool = False
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=not leaf, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if leaf:
        names = [x509.DNSName("learn.example"), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(SERVER_ADDRESS))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "EduConnect Bench"), x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]
    )
