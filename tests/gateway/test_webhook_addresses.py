"""Where webhooks may go: forms of addresses and URLs, and what a name resolves to between one look and the next."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpcore
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway.options import Reach
from gateway.webhooks.addresses import objection
from gateway.webhooks.connecting import ADDRESSES_MAX, DestinationForbidden, JudgingBackend
from gateway.webhooks.destination import DestinationRefused, parse

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8")
PRIVATE = (
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "5f00::1",
    "2606:4700::1%1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_sent_to(address: str) -> None:
    assert objection(address) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_in_whatever_form_is_not_sent_to(address: str) -> None:
    assert objection(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "1.2.3.4.5", "[::1]"])
def test_what_is_no_canonical_address_is_not_sent_to(text: str) -> None:
    assert objection(text)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0/96", "64:ff9b::/96"]))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_as_itself(address: ipaddress.IPv4Address, carrier: str) -> None:
    carried = ipaddress.IPv6Address(int(ipaddress.IPv6Network(carrier).network_address) | int(address))
    assert (objection(str(carried)) is None) == (objection(str(address)) is None)


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_private_is_sent_to(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if objection(str(address)) is None:
        mapped = getattr(address, "ipv4_mapped", None) or address
        assert mapped.is_global and not mapped.is_multicast, address


def test_an_operators_own_networks_are_kept_out_also_when_they_are_carried() -> None:
    forbidden = (ipaddress.ip_network("8.8.8.0/24"), ipaddress.ip_network("2606:4700::/32"))
    for address in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111"):
        assert objection(address, forbidden=forbidden), address
    assert objection("8.8.4.4", forbidden=forbidden) is None


def test_development_allows_loopback_itself_and_nothing_that_hides_it() -> None:
    assert objection("127.0.0.1", loopback_allowed=True) is None and objection("::1", loopback_allowed=True) is None
    for address in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "10.0.0.1", "169.254.169.254", "0.0.0.0"):
        assert objection(address, loopback_allowed=True), address


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "https://hooks.example.org:22/",
        "https://hooks.example.org:0443443/",
        "https://user@hooks.example.org/",
        "https://hooks.example.org@127.0.0.1/",
        "https://user:pass@hooks.example.org/",
        "https://hooks.example.org#@127.0.0.1/",
        "https://hooks.example.org/#fragment",
        "https://hooks.example.org\\@127.0.0.1/",
        "https://hooks.example.org\t/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\r\nHost: inside",
        "https:/hooks.example.org/",
        "//hooks.example.org/",
        "https://",
        "https:///path",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://1.2.3.4.5/",
        "https://localhost/",
        "https://intranet/",
        "https://hooks..example.org/",
        "https://-hooks.example.org/",
        "https://hooks.example.org./",
        "https://bücher.example/",
        "https://ⓔxample.org/",
        "https://127。0。0。1/",
        "https://[::1",
        "https://[::1%25eth0]/",
        "https://[v1.fe80::1]/",
        "https://hooks_example.org/",
        "ftp://hooks.example.org/",
        "gopher://hooks.example.org/",
        "file:///etc/passwd",
        "https://" + "a." * 130 + "org/",
        "https://hooks.example.org/" + "a" * 500,
    ],
)
def test_a_url_that_two_parsers_could_read_differently_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(DestinationRefused) as refused:
        parse(url)
    assert len(url) < 12 or url not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("https://hooks.example.org", "hooks.example.org", 443, "/", "hooks.example.org"),
        ("https://Hooks.Example.org:8443/a/b?c=d&e=%20", "hooks.example.org", 8443, "/a/b?c=d&e=%20", "hooks.example.org:8443"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
        ("https://93.184.216.34/x", "93.184.216.34", 443, "/x", "93.184.216.34"),
        ("https://[2606:4700:0:0::1111]/", "2606:4700::1111", 443, "/", "[2606:4700::1111]"),
        ("https://hooks.example.org?x=1", "hooks.example.org", 443, "/?x=1", "hooks.example.org"),
    ],
)
def test_a_good_url_is_taken_as_it_stands(url: str, host: str, port: int, target: str, authority: str) -> None:
    found = parse(url)
    assert (found.secure, found.host, found.port, found.target, found.authority) == (True, host, port, target, authority)


def test_development_takes_http_on_any_port_of_this_machine() -> None:
    found = parse("http://localhost:8123/x", loopback_allowed=True)
    assert (found.secure, found.host, found.port) == (False, "localhost", 8123)


class Names:
    """A resolver that gives each answer once, in order, and remembers what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0)


class Noted(httpcore.AsyncNetworkBackend):
    """Notes where it was told to connect, and refuses."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def connect_tcp(self, host: str, *rest: object, **named: object) -> httpcore.AsyncNetworkStream:
        self.addresses.append(host)
        raise httpcore.ConnectError("refused")


async def test_a_name_is_asked_once_and_the_connection_goes_to_the_very_address_that_was_judged() -> None:
    names, noted = Names(["93.184.216.34"], ["127.0.0.1"]), Noted()
    with pytest.raises(httpcore.ConnectError):
        await JudgingBackend(Reach(), names, noted).connect_tcp("rebind.example", 443)
    assert names.asked == ["rebind.example"] and noted.addresses == ["93.184.216.34"]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_inside_is_never_connected_to_also_not_beside_a_public_address(address: str) -> None:
    for answer in ([address], ["93.184.216.34", address], [address, "93.184.216.34"]):
        noted = Noted()
        with pytest.raises(DestinationForbidden) as refused:
            await JudgingBackend(Reach(), Names(answer), noted).connect_tcp("inside.example", 443)
        assert noted.addresses == [] and address not in str(refused.value)


async def test_a_name_with_very_many_addresses_is_refused_and_of_some_few_are_tried() -> None:
    many = [f"93.184.216.{n}" for n in range(1, ADDRESSES_MAX + 2)]
    with pytest.raises(DestinationForbidden):
        await JudgingBackend(Reach(), Names(many), Noted()).connect_tcp("many.example", 443)
    noted = Noted()
    with pytest.raises(httpcore.ConnectError):
        await JudgingBackend(Reach(), Names(many[:5]), noted).connect_tcp("some.example", 443)
    assert noted.addresses == many[:3]


async def test_a_path_in_this_machine_is_no_destination() -> None:
    with pytest.raises(DestinationForbidden):
        await JudgingBackend(Reach(), Names()).connect_unix_socket("/run/docker.sock")


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[int]]]:
    """A real socket on loopback, and who came to it."""
    came: list[int] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        yield server.getsockname()[1], came
        while True:
            try:
                came.append(server.accept()[1][1])
            except BlockingIOError:
                break


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "::ffff:127.0.0.1", "0", "::1"]
)
async def test_no_form_of_loopback_reaches_a_socket_that_listens_there(host: str) -> None:
    """With the system's own resolver, which takes most of these for 127.0.0.1."""
    async with listening() as (port, came):
        with trio.fail_after(20), pytest.raises((DestinationForbidden, OSError)):
            await JudgingBackend(Reach()).connect_tcp(host, port)
    assert came == []
