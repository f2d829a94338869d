"""Who is who: what the people are called whose numbers stand in events.

    member pages, found people, invitations ─┐
    Joined, Renamed ─────────────────────────┴─▶ Names ─▶ of(user), mentioned(text)

Invariant: the name told last is the name shown; nobody is asked about twice in vain.
"""

from __future__ import annotations

from client.mentions import find_mentions

SERVER = 0
"""The author of what nobody in particular did."""


class Names:
    """What one person knows of people's names: those they are displayed by, and those they log in with."""

    def __init__(self) -> None:
        self._displayed: dict[int, str] = {}
        self._logins: dict[int, str] = {}
        self._strangers: set[int] = {SERVER}

    def learn(self, user: int, name: str, login: str = "") -> None:
        """Somebody is called this now, and logs in as `login` where that was told too."""
        self._displayed[user] = name
        if login:
            self._logins[user] = login

    def give_up(self, user: int) -> None:
        """Whoever was asked could not say who this is; it is not worth asking again."""
        if user not in self._displayed:
            self._strangers.add(user)

    def knows(self, user: int) -> bool:
        """Whether this number has a name."""
        return user in self._displayed

    def wants(self, user: int) -> bool:
        """Whether the server should be asked who this is."""
        return user not in self._displayed and user not in self._strangers

    def of(self, user: int) -> str:
        """What to call somebody."""
        return self._displayed.get(user, f"user {user}")

    def mentioned(self, text: str) -> tuple[int, ...]:
        """Those whom a text mentions by either name."""
        return find_mentions(text, self._displayed, self._logins)
