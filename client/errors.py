"""What a caller of this library can be told.

    MutationRefused   the server decided: no effect, for good           RequestFailed  a question that cannot be answered
    DeviceCopied      this store was copied; log in as a new device     SessionEnded   nothing more goes over this session
    AccountError      HTTP said no, with a code and plain words         LinkClosed     one socket is gone (the library comes back)

Invariant: a mutation whose `Pending.wait` raised `SessionEnded` or was cancelled is still in the store, and its outcome is open.
"""

from __future__ import annotations

from protocol.codes import TABLE, Code


def explain(code: int, detail: str = "") -> str:
    """The code's name, what it means, and the server's own words."""
    try:
        row = TABLE[Code(code)]
    except ValueError:
        return f"code {code}: {detail}" if detail else f"code {code}"
    return f"{row.code.name}: {detail or row.meaning}"


class ClientError(Exception):
    """Root of this library's errors."""


class LinkClosed(ClientError):
    """This socket is gone. `code` is the WebSocket close code; 0 where nobody said why."""

    def __init__(self, code: int = 0, detail: str = "") -> None:
        super().__init__(explain(code, detail))
        self.code = code
        self.detail = detail


class Unreachable(ClientError):
    """No server answered at this address now. `status`: HTTP's, where somebody answered and refused; else 0."""

    def __init__(self, detail: str = "", status: int = 0) -> None:
        super().__init__(detail)
        self.status = status


class MutationRefused(ClientError):
    """The mutation has no effect and never will have: its number is used up. Nothing behind it is blocked."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(explain(code, detail))
        self.code = code
        self.detail = detail


class RequestFailed(ClientError):
    """The request was refused."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(explain(code, detail))
        self.code = code
        self.detail = detail


class QueueFull(ClientError):
    """As many mutations wait as the store is allowed to hold."""


class ServerFault(Exception):
    """The server said something that makes no sense here; this socket is given up. Applications never see it."""


class SessionEnded(ClientError):
    """The session is over for good; `code` says why (0: closed by its owner)."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(explain(code, detail) if code else "the session was closed")
        self.code = code
        self.detail = detail


class DeviceCopied(SessionEnded):
    """Another installation used this device's numbers: the store was copied or restored. Log in without a device, to get a new one."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(Code.NUMBER_REUSED, detail or "this device's store is in use elsewhere; log in as a new device")


class AccountError(ClientError):
    """The HTTP side said no. `status` is HTTP's, `code` and `title` the problem's own, `retry_after_s` is 0 where waiting does not help."""

    def __init__(self, status: int, code: str, title: str, detail: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.retry_after_s = retry_after_s

    @property
    def final(self) -> bool:
        """Whether the same tokens will never do: somebody has to log in again."""
        return self.status in (400, 401, 403)


class SecondFactorNeeded(AccountError):
    """The password was right, and the account asks for more: `Account.prove` with the challenge and what one of the methods shows."""

    def __init__(self, challenge: str, methods: tuple[str, ...]) -> None:
        super().__init__(401, "", "A second factor is needed", f"this account asks for more than a password: {', '.join(methods)}")
        self.challenge = challenge
        self.methods = methods
