"""Every code a peer can be told, in one table: what it means, and what a client does about it.

    refusal of a command        retry? no · same (same number again) · later (after a wait) · refresh (get a token first)
    end of a socket (≥ 4000)    reconnect? no · now · wait · refresh

Refusal codes are small so that they cost a byte; codes that end a socket are WebSocket close codes from the private range.
Server and clients read this table alike; `docs/protocol.md` and the vectors are generated from it.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from msgspec import Struct


class Code(IntEnum):
    """Why something was refused, or why a socket ends."""

    OK = 0
    # The command itself.
    INVALID = 1
    UNKNOWN = 2
    TOO_LARGE = 3
    NOT_NOW = 4
    # The number of a mutation.
    GAP = 8
    TOO_OLD = 9
    NUMBER_REUSED = 10
    # Authority.
    FORBIDDEN = 16
    NOT_FOUND = 17
    BLOCKED = 18
    TRUST = 19
    STEP_UP = 20
    MFA = 21
    # The state of things.
    CONFLICT = 24
    LIMIT = 25
    GONE = 26
    RESET = 27
    TICKET = 28
    RELOAD = 29
    # Load and weather.
    BUSY = 32
    RATE = 33
    UNAVAILABLE = 34
    SLOWED = 35
    # Ends of a socket.
    BAD_FRAME = 4000
    UNAUTHENTICATED = 4001
    TOKEN_EXPIRED = 4002
    REVOKED = 4003
    TAKEN_OVER = 4004
    VERSION = 4005
    ILLEGAL = 4006
    HELLO_LATE = 4007
    SLOW = 4008
    DEAD = 4009
    DRAIN = 4010
    FAULT = 4011
    FLOOD = 4012
    OVERLOAD = 4013
    BYE = 4014

    @classmethod
    def _missing_(cls, value: object) -> Code | None:
        """A code from a newer server: whoever is too old to know it takes the most careful of those he knows."""
        if not isinstance(value, int) or value < 0:
            return None
        return cls.FAULT if value >= 4000 else cls.INVALID


class Retry(Enum):
    """What a client does with a refused command. A refused mutation has consumed its number only where the row says `no`."""

    NO = "no"
    SAME = "same"
    LATER = "later"


class Reconnect(Enum):
    """What a client does after its socket ended."""

    NO = "no"
    NOW = "now"
    WAIT = "wait"
    REFRESH = "refresh"


class Row(Struct, frozen=True):
    """One line of the table."""

    code: Code
    meaning: str
    retry: Retry | None = None
    reconnect: Reconnect | None = None


def _refusal(code: Code, retry: Retry, meaning: str) -> Row:
    return Row(code, meaning, retry=retry)


def _end(code: Code, reconnect: Reconnect, meaning: str) -> Row:
    return Row(code, meaning, reconnect=reconnect)


TABLE: dict[Code, Row] = {
    row.code: row
    for row in (
        _refusal(Code.OK, Retry.NO, "Done."),
        _refusal(
            Code.INVALID,
            Retry.NO,
            "A field is missing, has the wrong type or lies outside its range; the detail names it.",
        ),
        _refusal(
            Code.UNKNOWN,
            Retry.NO,
            "The server does not know this command or operation in the agreed version.",
        ),
        _refusal(Code.TOO_LARGE, Retry.NO, "More bytes or items than allowed; the detail says how many are."),
        _refusal(Code.NOT_NOW, Retry.NO, "Legal in itself, but not in the present state of this session."),
        _refusal(Code.GAP, Retry.SAME, "A number before this one has not arrived; send from `last_number` + 1 on."),
        _refusal(
            Code.TOO_OLD,
            Retry.NO,
            "The number is older than the outcomes that are kept; its effect is already decided.",
        ),
        _refusal(
            Code.NUMBER_REUSED,
            Retry.NO,
            "The number is known with another payload: this device's store was copied.",
        ),
        _refusal(Code.FORBIDDEN, Retry.NO, "The account's role does not allow this here."),
        _refusal(Code.NOT_FOUND, Retry.NO, "No such thing, or none that this account may know of."),
        _refusal(Code.BLOCKED, Retry.NO, "The other person does not accept this."),
        _refusal(
            Code.TRUST,
            Retry.NO,
            "The account is not trusted enough for this yet; the detail says which threshold it is and how one gets there.",
        ),
        _refusal(
            Code.STEP_UP,
            Retry.NO,
            "This needs a fresh proof of who you are: `POST /api/v1/auth/step-up`, then ask for it anew.",
        ),
        _refusal(Code.MFA, Retry.NO, "The second factor is missing, wrong, was used before, or came too late; the detail says which."),
        _refusal(
            Code.CONFLICT,
            Retry.NO,
            "Something else already stands there (a name that is taken, a role that changed).",
        ),
        _refusal(Code.LIMIT, Retry.NO, "A bound on how many there may be is reached; the detail names it."),
        _refusal(Code.GONE, Retry.NO, "It was there and has been deleted."),
        _refusal(Code.RESET, Retry.NO, "The position is older than what is kept; take a snapshot, then follow from its head."),
        _refusal(
            Code.TICKET,
            Retry.NO,
            "The ticket is not one of ours, or its time, epoch or server's limits are over; say `Hello` with the token on this socket.",
        ),
        _refusal(
            Code.RELOAD,
            Retry.NO,
            "The document has begun anew since (an earlier version was restored): load it again, and write there what is not in it.",
        ),
        _refusal(Code.BUSY, Retry.LATER, "The server took too much at once; the number was not consumed."),
        _refusal(Code.RATE, Retry.LATER, "Too many in too short a time; the detail says how long to wait. The number was not consumed."),
        _refusal(
            Code.UNAVAILABLE,
            Retry.LATER,
            "The server's storage is away for the moment; the number was not consumed.",
        ),
        _refusal(
            Code.SLOWED,
            Retry.NO,
            "Too soon after the last one: the channel is in slow mode, or the account has had what it may ask for in a while. `wait_ms` "
            "says how long that is. The number was consumed, so that what comes after it need not wait: ask again by a new one.",
        ),
        _end(Code.BAD_FRAME, Reconnect.WAIT, "Bytes that are no frame of this protocol, or beyond its limits."),
        _end(Code.UNAUTHENTICATED, Reconnect.REFRESH, "The token is not one of ours, or not for this device."),
        _end(Code.TOKEN_EXPIRED, Reconnect.REFRESH, "The token's time is over; refresh it and come back."),
        _end(Code.REVOKED, Reconnect.NO, "This session was ended; log in again."),
        _end(Code.TAKEN_OVER, Reconnect.NO, "The same device opened another socket; that one lives on."),
        _end(Code.VERSION, Reconnect.NO, "No protocol version in common; the client must be updated."),
        _end(Code.ILLEGAL, Reconnect.WAIT, "A frame that is not legal in this state; the detail names what is."),
        _end(Code.HELLO_LATE, Reconnect.WAIT, "No Hello within the time allowed."),
        _end(Code.SLOW, Reconnect.WAIT, "The socket did not take what was sent to it; resume from the cursors."),
        _end(Code.DEAD, Reconnect.NOW, "Nothing was heard from the client within its heartbeat."),
        _end(
            Code.DRAIN,
            Reconnect.WAIT,
            "This server is going down for maintenance; the detail carries this client's own delay.",
        ),
        _end(Code.FAULT, Reconnect.WAIT, "A fault of the server's; nothing acknowledged is lost."),
        _end(Code.FLOOD, Reconnect.WAIT, "Commands beyond the rate allowed, after warnings."),
        _end(Code.OVERLOAD, Reconnect.WAIT, "The server has no room for this socket now."),
        _end(Code.BYE, Reconnect.NO, "The client said Bye."),
    )
}
