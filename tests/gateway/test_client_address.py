"""Whose address counts, and when somebody else's word for it does."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client_address import (
    SIGNATURE_V2,
    Malformed,
    Trust,
    forwarded_address,
    network_key,
    parse_proxy,
    plain_address,
    proxy_bytes_wanted,
)

BALANCERS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


def v2(command: int = 1, family: int = 1, body: bytes | None = None) -> bytes:
    if body is None:
        body = bytes((203, 0, 113, 7, 10, 0, 0, 1)) + struct.pack("!HH", 5000, 443)
    return SIGNATURE_V2 + bytes((0x20 | command, family << 4 | 1)) + struct.pack("!H", len(body)) + body


def take(stream: bytes) -> tuple[bytes, bytes]:
    """Reads a header the way a socket is read: asked for so many bytes, got them."""
    got = b""
    while wanted := proxy_bytes_wanted(got):
        more = stream[len(got) : len(got) + wanted]
        assert more, "it asked for bytes behind the header"
        got += more
    return got, stream[len(got) :]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 5000 443\r\n", ("203.0.113.7", 5000)),
        (b"PROXY TCP6 2001:db8::7 fd00::1 5000 443\r\n", ("2001:db8::7", 5000)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ff ff 1 2\r\n", None),
        (v2(), ("203.0.113.7", 5000)),
        (v2(body=bytes((203, 0, 113, 7, 10, 0, 0, 1)) + struct.pack("!HH", 5000, 443) + b"\x03\x00\x04abcd"), ("203.0.113.7", 5000)),
        (v2(family=2, body=ipaddress.ip_address("2001:db8::7").packed + bytes(16) + struct.pack("!HH", 9, 9)), ("2001:db8::7", 9)),
        (v2(command=0, body=b""), None),
        (v2(family=3, body=bytes(216)), None),
    ],
)
def test_a_proxy_header_tells_the_address_and_takes_no_byte_too_many(header: bytes, told: tuple[str, int] | None) -> None:
    got, rest = take(header + b"GET / HTTP/1.1\r\n\r\n")
    assert got == header
    assert rest == b"GET / HTTP/1.1\r\n\r\n"
    assert parse_proxy(got) == told


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE_V2 + b"\x21\x11\xff\xff",
        b"\r\n\r\n\x00\r\nQUOT\n....",
        b"PROXY TCP4 1.2.3.4\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 70000 1\r\n",
        b"PROXY TCP4 1.2.3.999 1.2.3.4 1 1\r\n",
        b"PROXY\xff\xff\r\n",
        SIGNATURE_V2 + b"\x31\x11\x00\x00",
        v2(body=b"short"),
    ],
)
def test_what_is_no_proxy_header_is_malformed(stream: bytes) -> None:
    with pytest.raises(Malformed):
        parse_proxy(take(stream)[0])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_malformed(data: bytes) -> None:
    for prefix in (b"", b"PROXY ", SIGNATURE_V2):
        stream = prefix + data
        got = b""
        try:
            while wanted := proxy_bytes_wanted(got):
                more = stream[len(got) : len(got) + wanted]
                if not more:
                    return
                got += more
            parse_proxy(got)
        except Malformed:
            pass


@pytest.mark.parametrize(
    ("header", "values", "address"),
    [
        ("x-forwarded-for", ["203.0.113.7"], "203.0.113.7"),
        ("x-forwarded-for", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ("x-forwarded-for", ["6.6.6.6", "203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("x-forwarded-for", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("x-forwarded-for", ["rubbish"], "10.0.0.1"),
        ("x-forwarded-for", ["6.6.6.6, rubbish, 10.0.0.2"], "10.0.0.2"),
        ("x-forwarded-for", [], "10.0.0.1"),
        ("forwarded", ["for=203.0.113.7;proto=https"], "203.0.113.7"),
        ("forwarded", ['for="[2001:db8::7]:4711"'], "2001:db8::7"),
        ("forwarded", ["For=6.6.6.6, FOR=203.0.113.7:99;by=10.0.0.1"], "203.0.113.7"),
        ("forwarded", ["for=unknown"], "10.0.0.1"),
        ("", ["203.0.113.7"], "10.0.0.1"),
    ],
)
def test_the_rightmost_address_that_is_not_ours_is_the_client(header: str, values: list[str], address: str) -> None:
    trust = Trust(networks=BALANCERS, header=header)  # type: ignore[arg-type]
    assert forwarded_address(trust, "10.0.0.1", values) == address


def test_a_stranger_is_not_believed() -> None:
    trust = Trust(networks=BALANCERS, header="x-forwarded-for")
    assert forwarded_address(trust, "198.51.100.1", ["203.0.113.7"]) == "198.51.100.1"


def test_whoever_reaches_a_unix_socket_may_speak_for_others() -> None:
    assert forwarded_address(Trust(header="x-forwarded-for"), "", ["203.0.113.7"]) == "203.0.113.7"
    assert forwarded_address(Trust(), "", ["203.0.113.7"]) == ""


def test_ipv6_clients_count_by_their_64_and_ipv4_by_address() -> None:
    assert network_key("2001:db8:1:2:3:4:5:6") == network_key("2001:db8:1:2::")
    assert network_key("2001:db8:1:2::") != network_key("2001:db8:1:3::")
    assert network_key("203.0.113.7") == "203.0.113.7"
    assert network_key("") == ""


def test_an_ipv4_address_in_ipv6_clothes_is_an_ipv4_address() -> None:
    assert plain_address("::ffff:203.0.113.7") == "203.0.113.7"
    assert plain_address("fe80::1%eth0") == "fe80::1"
    assert plain_address("2001:db8::1") == "2001:db8::1"
