"""What asyncpg and the network raise, in the words of `actors.storage_port`.

    phase when it broke      asked to change      asked to read
    connecting, beginning    Unavailable          Unavailable
    working                  Unavailable *        Unavailable
    committing               OutcomeUnknown       Unavailable

    * inside a transaction: a broken one is undone by the server. Without one every statement commits by itself, so
      "working" is "committing" from the first statement on.

Invariant: `Unavailable` is said only of what certainly did not happen.
"""

from __future__ import annotations

import enum

import asyncpg

from actors.storage_port import OutcomeUnknown, Reason, StorageError, Unavailable


class Phase(enum.IntEnum):
    """How far one unit of work has come."""

    CONNECTING = 0
    WORKING = 1
    COMMITTING = 2


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason], ...] = (
    # Order matters: the first match wins, subclasses before their bases.
    (FileNotFoundError, "no such file"),
    (ConnectionRefusedError, "refused"),
    (asyncpg.CannotConnectNowError, "starting"),
    (asyncpg.InvalidAuthorizationSpecificationError, "authentication"),  # InvalidPasswordError is one
    (asyncpg.InvalidCatalogNameError, "database missing"),
    ((asyncpg.AdminShutdownError, asyncpg.CrashShutdownError), "lost"),
    ((asyncpg.IdleInTransactionSessionTimeoutError, asyncpg.PostgresConnectionError), "lost"),
    ((asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError), "timeout"),
    (asyncpg.TransactionRollbackError, "conflict"),
    ((asyncpg.InsufficientResourcesError, asyncpg.PostgresSystemError), "exhausted"),  # a disk that is full, or broken
    (asyncpg.ReadOnlySQLTransactionError, "read only"),
    (ConnectionError, "lost"),
)

_UNREACHED: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason], ...] = (
    (asyncpg.InternalClientError, "unreachable"),
    (OSError, "unreachable"),  # no route, no such host, no answer in time (TimeoutError is one)
)
"""Meant only while connecting: a unit of work may well raise its own OSError, which is not ours to rename."""

_UNDONE: frozenset[Reason] = frozenset({"conflict", "exhausted", "timeout", "read only"})
"""The server's own refusals: it is alive and says that it undid the statement or transaction, even while committing."""


def translate(error: BaseException, phase: Phase, *, readonly: bool, connection_closed: bool) -> BaseException:
    """The port's error for `error`, or `error` itself where it is nobody's fault but the caller's."""
    if isinstance(error, StorageError):
        return error
    reason = _reason(error, phase, readonly=readonly, connection_closed=connection_closed)
    if reason is None:
        return error
    detail = f"{type(error).__name__}: {error}"
    undone = isinstance(error, asyncpg.PostgresError) and reason in _UNDONE
    if phase is Phase.COMMITTING and not readonly and not undone:
        return OutcomeUnknown(f"{reason}: {detail}")
    return Unavailable(reason, detail)


def _reason(error: BaseException, phase: Phase, *, readonly: bool, connection_closed: bool) -> Reason | None:
    if readonly and isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return None  # asked to read, tried to write: the caller's fault
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            if isinstance(error, FileNotFoundError) and phase is not Phase.CONNECTING:
                break  # the work's own
            return reason
    if phase is Phase.CONNECTING:
        for kinds, reason in _UNREACHED:
            if isinstance(error, kinds):
                return reason
    # asyncpg has several words for "closed underneath": InterfaceError, InternalClientError, plain RuntimeErrors of transports.
    if connection_closed and isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        return "lost"
    return None
