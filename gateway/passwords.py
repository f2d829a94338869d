"""Passwords: argon2id in processes beside this one, one or two at a time, behind a queue that says no before it says late.

    judge ────────┐
    hash, verify ─┴▶ waiting (bounded, with a deadline) ─▶ a process: 40 ms of CPU, 19 MiB ─▶ answer
                     └─ full, or too late to be worth it: HashingBusy(retry_after_s)

A log-in costs more than a hundred chat messages, on purpose. So hashing gets a share of the machine that no number of log-ins
enlarges, and whoever would wait longer than the deadline is told so at once instead of keeping others waiting too.

Invariant: the answer for an account that does not exist takes the same work as for one that does.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterable
from typing import Final

import structlog
import trio

from gateway.hash_orders import AnyDone, AnyOrder, Compare, Compared, Hash, Hashed, Verdict, Weigh, Weighed, obey
from gateway.hash_processes import HasherLost, Hashers, HashThreads
from gateway.options import HASH_WAIT_S, HASHES_AT_ONCE, HASHES_WAITING_MAX, OWASP, PASSWORD_LENGTH_MIN, Cost, PasswordRules

log = structlog.get_logger()

LENGTH_MAX: Final = 128
PROMISED_S_MAX: Final = 30.0
"""The longest that anybody is told to wait, however many were refused: it is a guess, and a flood must not make it an hour."""


class PasswordRefused(ValueError):
    """A password that cannot be set. The text says what is allowed, and nothing of the password."""


class HashingBusy(Exception):
    """Too many passwords wait to be hashed. Nothing was done; come back after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many log-ins at once; come back in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class Passwords:
    """Hashes and compares passwords. Making one takes as long as a hash."""

    def __init__(
        self,
        cost: Cost = OWASP,
        *,
        hashers: Hashers | None = None,
        concurrent_max: int = HASHES_AT_ONCE,
        waiting_max: int = HASHES_WAITING_MAX,
        wait_s: float = HASH_WAIT_S,
        rules: PasswordRules = PasswordRules(),  # noqa: B008 (frozen)
    ) -> None:
        """`hashers` obey as many orders at once as `concurrent_max` says; threads of this process, where nothing is said."""
        self._cost = cost
        made = obey(Hash(cost, secrets.token_hex(16)))
        assert isinstance(made, Hashed)
        self._nobody = made.stored
        """The hash of a password that nobody knows, compared with where there is no account."""
        self._slots = trio.Semaphore(concurrent_max)
        self._hashers = hashers or HashThreads(concurrent_max)
        self._concurrent_max = concurrent_max
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self.rules = rules
        self._typical_s = 0.05
        """How long one takes, as a moving average; it only serves to tell others how long to wait."""
        self._promised_at = 0.0
        """When the one who was refused last was told to come back."""
        self._working = 0
        self.waiting = 0
        self.done = 0
        """Hashes made."""
        self.refused = 0

    def check(self, password: str) -> str:
        """The password as it is hashed; its length alone is judged. Raises `PasswordRefused`."""
        return check_password(password, self.rules.length_min)

    async def judge(self, password: str, words: Iterable[str]) -> None:
        """Whether a password may be set by who is known by these words. Raises `PasswordRefused`, `HashingBusy`."""
        normal = self.check(password)
        if not self.rules.score_min:
            return
        found = await self._work(Weigh(normal, (*words, *self.rules.site_words)))
        assert isinstance(found, Weighed)
        if found.score < self.rules.score_min:
            raise PasswordRefused(_why(found, self.rules.score_min))

    async def hash(self, password: str) -> str:
        """The string to store. Raises `PasswordRefused` for its length alone, `HashingBusy`."""
        made = await self._work(Hash(self._cost, self.check(password)))
        assert isinstance(made, Hashed)
        return made.stored

    async def verify(self, stored: str | None, password: str) -> Verdict:
        """Compares; `stored` None means that there is no such account, and is wrong after the same time. Raises `HashingBusy`."""
        nobody = self._nobody
        found = await self._work(Compare(self._cost, nobody if stored is None else stored, nobody, _normalise(password)))
        assert isinstance(found, Compared)
        return found.verdict

    def refuse_if_full(self) -> None:
        """Raises `HashingBusy` where a hash that is asked for now would be refused: before anything else is done for who asks."""
        if self.waiting + self._working >= self._waiting_max + self._concurrent_max or self._expected_s() > self._wait_s:
            raise self._busy()

    async def _work(self, order: AnyOrder) -> AnyDone:
        self.refuse_if_full()
        self.waiting += 1
        try:
            with trio.move_on_after(self._wait_s) as patience:
                await self._slots.acquire()
        finally:
            self.waiting -= 1
        if patience.cancelled_caught:
            raise self._busy()
        self._working += 1
        started = trio.current_time()
        try:
            # A hash that was begun is finished, and holds a slot until then.
            answer = await self._hashers.obey(order)
        except HasherLost as error:
            log.error("hasher_lost", error=str(error))
            raise self._busy() from error
        else:
            if not isinstance(order, Weigh):
                self._typical_s += 0.1 * (trio.current_time() - started - self._typical_s)
                self.done += 1
            return answer
        finally:
            self._working -= 1
            self._slots.release()

    def _expected_s(self) -> float:
        """How long one who comes now would wait for a slot."""
        return max(0, self.waiting + self._working - self._concurrent_max + 1) * self._typical_s / self._concurrent_max

    def _busy(self) -> HashingBusy:
        """Each who is refused is given a later time than the one before: told alike, they would come back together."""
        self.refused += 1
        now = trio.current_time()
        soonest = max(self._promised_at, now + self._expected_s())
        self._promised_at = min(soonest + self._typical_s / self._concurrent_max, now + PROMISED_S_MAX)
        return HashingBusy(max(1.0, self._promised_at - now))


def check_password(password: str, length_min: int = PASSWORD_LENGTH_MIN) -> str:
    """The password as it is hashed. Raises `PasswordRefused` for one that cannot be set; length alone is judged."""
    normal = _normalise(password)
    if not length_min <= len(normal) <= LENGTH_MAX:
        raise PasswordRefused(f"the password has {len(normal)} characters; allowed: {length_min} to {LENGTH_MAX}")
    return normal


def _why(found: Weighed, score_min: int) -> str:
    warning = f" {found.warning.rstrip('.')}." if found.warning else ""
    return (
        f"the password is too easy to guess ({found.score} of 4; allowed: {score_min} or more).{warning} "
        "A few words that do not belong together are hard to guess and easy to keep; capitals and digits are not needed"
    )


def _normalise(password: str) -> str:
    # Keyboards differ in how they compose an é; the password is the same one (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password)
