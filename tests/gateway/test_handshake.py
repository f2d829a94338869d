"""Heads and the upgrade decision, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.handshake import Decision, Elsewhere, Head, Policy, Refusal, Upgrade, accept_value, decide, parse_head
from proofs.fuzzing.hunting import HANG_S, spent_within

GOOD = {
    "Host": "learn.example",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
POLICY = Policy(origins=("https://learn.example",))


def head_bytes(line: str, fields: dict[str, str], *more: str) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in fields.items()), *more]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def ask(line: str = "GET /socket HTTP/1.1", *more: str, policy: Policy = POLICY, without: str = "", **fields: str) -> Decision:
    merged = {name: value for name, value in GOOD.items() if name != without}
    merged |= {name.replace("_", "-"): value for name, value in fields.items()}
    head = parse_head(head_bytes(line, merged, *more))
    assert isinstance(head, Head), head
    return decide(head, policy)


def test_the_accept_value_is_the_one_of_the_rfc() -> None:
    assert accept_value("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_good_handshake_is_upgraded() -> None:
    decision = ask()
    assert isinstance(decision, Upgrade)
    assert decision.response.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in decision.response
    assert b"Sec-WebSocket-Protocol" not in decision.response


def test_a_query_does_not_change_the_path() -> None:
    assert isinstance(ask("GET /socket?v=1 HTTP/1.1"), Upgrade)


def test_our_subprotocol_is_agreed_to_wherever_it_stands() -> None:
    decision = ask("GET /socket HTTP/1.1", "Sec-WebSocket-Protocol: graphql-ws", Sec_WebSocket_Protocol="chat , educonnect.v1")
    assert isinstance(decision, Upgrade)
    assert decision.subprotocol == "educonnect.v1"
    assert decision.response.count(b"Sec-WebSocket-Protocol: educonnect.v1\r\n") == 1


def test_unknown_subprotocols_alone_are_agreed_to_by_none() -> None:
    decision = ask(Sec_WebSocket_Protocol="chat, graphql-ws")
    assert isinstance(decision, Upgrade)
    assert decision.subprotocol == ""
    assert b"Sec-WebSocket-Protocol" not in decision.response


def test_no_extension_is_agreed_to() -> None:
    decision = ask(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
    assert isinstance(decision, Upgrade)
    assert b"xtension" not in decision.response


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (ask("POST /socket HTTP/1.1"), 405),
        (ask("GET /socket HTTP/1.0"), 505),
        (ask("GET /other HTTP/1.1"), 404),
        (ask(without="Upgrade"), 426),
        (ask(Connection="close"), 426),
        (ask(Upgrade="h2c"), 426),
        (ask(Sec_WebSocket_Version="8"), 426),
        (ask(without="Sec-WebSocket-Version"), 426),
        (ask(without="Host"), 400),
        (ask("GET /socket HTTP/1.1", "Host: another"), 400),
        (ask(without="Sec-WebSocket-Key"), 400),
        (ask("GET /socket HTTP/1.1", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (ask(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (ask(Sec_WebSocket_Key="not base64 at all!"), 400),
        (ask(Sec_WebSocket_Key="ü"), 400),
        (ask(Content_Length="5"), 400),
        (ask(Transfer_Encoding="chunked"), 400),
        (ask(Origin="https://evil.example"), 403),
        (ask(Origin="null"), 403),
        (ask("GET /socket HTTP/1.1", "Origin: https://evil.example", Origin="https://learn.example"), 400),
    ],
)
def test_what_is_wrong_is_refused_with_a_status_and_a_sentence(decision: Decision, status: int) -> None:
    assert isinstance(decision, Refusal)
    assert decision.status == status
    response = decision.response()
    assert response.startswith(b"HTTP/1.1 %d " % status)
    body = response.partition(b"\r\n\r\n")[2]
    assert body.strip()
    assert b"\r\nContent-Length: %d\r\n" % len(body) in response
    assert b"\r\nConnection: close\r\n" in response


def test_an_allowed_origin_is_upgraded_and_remembered() -> None:
    decision = ask(Origin="https://learn.example")
    assert isinstance(decision, Upgrade)
    assert decision.origin == "https://learn.example"


@pytest.mark.parametrize("origin", ["https://gate.example:8443", "http://gate.example:8443", "https://GATE.example:8443"])
def test_a_page_may_connect_to_where_it_came_from(origin: str) -> None:
    assert isinstance(ask(Host="gate.example:8443", Origin=origin, policy=Policy()), Upgrade)


@pytest.mark.parametrize(
    "origin",
    ["https://gate.example", "https://other.example:8443", "https://gate.example:8443.evil.example", "null", "ftp://gate.example:8443"],
)
def test_a_page_of_another_host_or_port_may_not_connect_unless_it_is_named(origin: str) -> None:
    assert ask(Host="gate.example:8443", Origin=origin, policy=Policy()) == Refusal(403, "This origin may not connect.")


@pytest.mark.parametrize(
    "host", ["learn.example", "LEARN.example:8443", "learn.example.", "192.168.1.7:8000", "[::1]:8000", "localhost:8000"]
)
def test_a_server_with_a_name_is_asked_by_it_or_by_its_address(host: str) -> None:
    assert isinstance(ask(Host=host, Origin=f"http://{host}", policy=Policy(hosts=("learn.example",))), Upgrade)


@pytest.mark.parametrize(
    "host", ["evil.example", "learn.example.evil.example", "evil.example:8000", "1.2.3.4.evil.example", "[evil.example]"]
)
def test_a_page_that_gave_its_own_name_to_the_address_of_the_server_may_not_connect(host: str) -> None:
    """Where its own page is the one that was asked, Origin and Host are the same."""
    named = Policy(hosts=("learn.example",), origins=("*",))
    assert ask(Host=host, Origin=f"http://{host}", policy=named) == Refusal(403, "This server has another name.")
    assert isinstance(ask(Host="evil.example", Origin="http://evil.example", policy=Policy()), Upgrade)


def test_a_star_allows_every_origin() -> None:
    assert isinstance(ask(Origin="https://anywhere.example", policy=Policy(origins=("*",))), Upgrade)


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST /api/v1/auth/login HTTP/1.1", "HEAD /sockets HTTP/1.0"])
def test_plain_http_is_somebody_elses_business(line: str) -> None:
    assert ask(line, without="Upgrade") == Elsewhere()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nNo colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: nothing\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : spaced\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"\r\n\r\n", 400),
    ],
)
def test_a_malformed_head_is_refused(data: bytes, status: int) -> None:
    refusal = parse_head(data)
    assert isinstance(refusal, Refusal)
    assert refusal.status == status


@given(st.binary(max_size=300))
def test_any_bytes_are_a_head_or_a_refusal(data: bytes) -> None:
    head = parse_head(data + b"\r\n\r\n")
    if isinstance(head, Head):
        assert isinstance(decide(head, POLICY), Upgrade | Refusal | Elsewhere)


token = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
value = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


@given(token, st.lists(st.tuples(token, value), max_size=6))
def test_what_was_written_is_read(path: str, fields: list[tuple[str, str]]) -> None:
    lines = [f"GET /{path} HTTP/1.1", *(f"{name}:  {text} \t" for name, text in fields)]
    head = parse_head("\r\n".join(lines).encode() + b"\r\n\r\n")
    assert head == Head("GET", f"/{path}", (1, 1), tuple(fields))


@pytest.mark.parametrize("blank", [" ", "\t", " \t"])
@pytest.mark.parametrize("end", ["\x00", "x\x00", "x"])
def test_a_field_of_blanks_costs_no_more_than_its_length(blank: str, end: str) -> None:
    """A pattern with three ways to take the same blank took half a minute for two thousand of them, and for 16 KiB the rest of the day."""
    blanks = blank * (15_000 // len(blank))
    with spent_within(HANG_S):
        head = parse_head(head_bytes("GET /socket HTTP/1.1", {}, f"X:{blanks}{end}"))
    assert isinstance(head, Refusal if "\x00" in end else Head)


def test_blanks_around_a_value_are_not_part_of_it_and_those_inside_are() -> None:
    head = parse_head(b"GET / HTTP/1.1\r\nA: \t one \t two\t \r\nB:\r\nC: \t\r\n\r\n")
    assert isinstance(head, Head)
    assert head.fields == (("a", "one \t two"), ("b", ""), ("c", ""))
