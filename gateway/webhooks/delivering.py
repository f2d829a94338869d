"""Delivering to one subscription: event after event while they are taken, and then no more until it is due again.

    take ─▶ sign ─▶ post ─┬ 2xx ─▶ settle: taken ─▶ the next one
                          ├ 410 ─▶ settle: given up, at once
                          ╰ else ▶ settle: again in 5 s … 4 h, about; failing for `give_up_s`: given up

Invariant: an event is followed by the next only when it was taken, so what a receiver has taken is a prefix of each stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
import trio

from actors.jobs import Work
from actors.webhooks import Deliveries, Due, Settled
from gateway.options import DeliveryRules
from gateway.seals import Seals
from gateway.webhooks.destination import DestinationRefused, parse
from gateway.webhooks.payload import payload
from gateway.webhooks.posting import Answer, Poster
from gateway.webhooks.signing import sign

log = structlog.get_logger("webhooks")

SEALED_FOR: Final = b"educonnect webhook 1"
"""What the sealing key is derived for."""
RETRIES_S: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
"""Between two attempts at one event; the last is repeated."""
USER_AGENT: Final = "EduConnect-Webhooks/1"
GONE: Final = 410
RESEALED_MAX: Final = 100


def about(space: int) -> bytes:
    """What a webhook's secret is sealed about."""
    return f"webhook of {space}".encode()


class Deliverer:
    """Delivers. One for a process; `taken` and `failed` count attempts since it was made."""

    def __init__(
        self,
        deliveries: Deliveries,
        poster: Poster,
        seals: Seals,
        rules: DeliveryRules = DeliveryRules(),  # noqa: B008 (frozen)
        *,
        wall: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._deliveries = deliveries
        self._poster = poster
        self._seals = seals
        self._rules = rules
        self._wall = wall
        self._random = random
        self.taken = 0
        self.failed = 0

    async def run(self, work: Work[Any]) -> None:
        """A job of kind `webhooks.deliver`."""
        await self.deliver(work.payload.webhook)

    async def deliver(self, webhook: int) -> None:
        """Sends what is due, until nothing is, an attempt fails, or the job has had its time. Raises `StorageError`."""
        ends_s = trio.current_time() + self._rules.run_s
        while trio.current_time() < ends_s:
            due = await self._deliveries.take(webhook, self._rules.lease_s)
            if due is False:
                return
            if isinstance(due, Due):
                settled = await self._attempt(due)
                if not await self._deliveries.settle(due, settled) or settled.retry_s is not None or settled.give_up:
                    return

    async def reseal(self) -> int:
        """Seals anew what an older key sealed, some at a time, so that a key may leave its file; how many. Raises `StorageError`."""
        done = 0
        for kept in await self._deliveries.sealed_by_others(bytes.fromhex(self._seals.name), RESEALED_MAX):
            opened = self._seals.open(kept.secret, about(kept.space))
            if opened is not None:
                await self._deliveries.replace_seal(kept.webhook, kept.secret, self._seals.seal(opened.data, about(kept.space)))
                done += 1
        return done

    async def _attempt(self, due: Due) -> Settled:
        secrets = await self._open(due)
        if secrets is None:
            # Nothing the receiver can mend, and nothing that waiting mends.
            return Settled(0, 0, "the secret cannot be read", give_up="its secret cannot be read any more; set a new one")
        reach = self._poster.reach
        try:
            destination = parse(due.url, ports=reach.ports, loopback_allowed=reach.loopback_allowed)
        except DestinationRefused as refused:
            return self._judge(due, Answer(0, str(refused), 0))
        body = payload(due)
        headers = {"content-type": "application/json", "user-agent": USER_AGENT, **sign(due.message_id, int(self._wall()), body, secrets)}
        return self._judge(due, await self._poster.post(destination, headers, body))

    def _judge(self, due: Due, answer: Answer) -> Settled:
        if answer.taken:
            self.taken += 1
            return Settled(answer.status, answer.took_ms, answer.text)
        self.failed += 1
        give_up = ""
        if answer.status == GONE:
            give_up = "the receiver answered that it is gone (410)"
        elif due.failing_s >= self._rules.give_up_s:
            give_up = f"the same event was refused for {due.failing_s // 3600} hours, {due.attempts + 1} times"
        if give_up:
            log.warning("webhook_abandoned", webhook=due.webhook, space=due.space, attempts=due.attempts + 1, status=answer.status)
            return Settled(answer.status, answer.took_ms, answer.text, give_up=give_up)
        delay_s = RETRIES_S[min(due.attempts, len(RETRIES_S) - 1)] * (0.75 + 0.5 * self._random())
        return Settled(answer.status, answer.took_ms, answer.text, retry_s=max(delay_s, answer.retry_after_s))

    async def _open(self, due: Due) -> list[str] | None:
        """The secrets to sign with, the present one first."""
        opened = self._seals.open(due.secret, about(due.space))
        if opened is None:
            return None
        if opened.stale:
            await self._deliveries.replace_seal(due.webhook, due.secret, self._seals.seal(opened.data, about(due.space)))
        former = self._seals.open(due.former_secret, about(due.space)) if due.former_secret else None
        return [found.data.decode() for found in (opened, former) if found is not None]
