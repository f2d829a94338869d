"""What can go wrong in the world of storage, in the words of those who ask for it.

    Busy            not begun      our own bound          refuse or ask later
    Unavailable     not happened   the database's fault   ask again later: nothing was changed
    OutcomeUnknown  perhaps        lost while committing  ask again with the same operation number

Invariant: whoever catches `Unavailable` or `Busy` may repeat the request freely; `OutcomeUnknown` only what is safe to repeat.
Whatever else a unit of work raises (a broken constraint, a fault of ours) passes through unchanged.
"""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "refused",  # nobody listens at that address
    "no such file",  # the unix socket is not there
    "starting",  # the server starts, stops or recovers
    "authentication",  # waiting does not heal this
    "database missing",  # nor this
    "unreachable",  # no route, no name, or TLS refused
    "timeout",  # the deadline passed
    "lost",  # the connection broke while working
    "conflict",  # a deadlock or a serialization failure: ours was undone
    "exhausted",  # out of connections, memory or disk
    "read only",  # this server is a standby: a failover is under way
    "cancelled",  # by whoever asked
    "closed",  # this process is stopping, or its bridge does not run
]


class StorageError(Exception):
    """What ports of storage raise for the world's faults."""

    @property
    def for_peers(self) -> str:
        """What a client may be told. The text itself is for the log: it names hosts, accounts and databases."""
        return "the storage has too much to do at the moment"


class Busy(StorageError):
    """As many requests are under way as this process allows. Nothing was begun."""


class Unavailable(StorageError):
    """The database could not be asked, or undid what was begun. Nothing was changed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason

    @property
    def for_peers(self) -> str:
        return f"the storage cannot be asked at the moment ({self.reason})"

    @property
    def heals(self) -> bool:
        """False where only a person can help: a wrong password, a missing database."""
        return self.reason not in ("authentication", "database missing")


class OutcomeUnknown(StorageError):
    """The connection was lost, or the deadline passed, while the change was being committed: it may have taken effect."""

    @property
    def for_peers(self) -> str:
        return "the storage was lost on the way; ask again with the same number"
