"""Ordering jobs, inside the transaction that causes them: they exist if and only if it commits.

    await enqueue(tx, Order("mail.send", pack(Outgoing(…)), key="digest:42"))        or, in SQL:  select enqueue_job('mail.send', payload)

Orders with keys take locks, in sorted order: a transaction that needs several orders them in one call.
"""

from __future__ import annotations

import asyncpg

from actors.jobs import KEY_LENGTH_MAX, KIND_LENGTH_MAX, ORDERED, PAYLOAD_BYTES_MAX, Order


async def enqueue(tx: asyncpg.Connection, *orders: Order) -> int:
    """Adds jobs in the caller's transaction, in one round trip; how many are new (the others are stood for by one that waits).

    Raises `ValueError` where an order is beyond the bounds of `actors.jobs`. Workers hear of it when the transaction has committed.
    """
    for order in orders:
        if not 0 < len(order.kind) <= KIND_LENGTH_MAX:
            raise ValueError(f"a job's kind has 1 to {KIND_LENGTH_MAX} characters, not {order.kind!r}")
        if len(order.payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"{order.kind}: a payload has at most {PAYLOAD_BYTES_MAX} bytes, not {len(order.payload)}")
        if len(order.key) > KEY_LENGTH_MAX:
            raise ValueError(f"{order.kind}: a key has at most {KEY_LENGTH_MAX} characters, not {len(order.key)}")
    added: int = await tx.fetchval(
        "select enqueue_jobs($1, $2, $3, $4, $5, $6, $7)",
        [order.kind for order in orders],
        [bytes(order.payload) for order in orders],
        [order.delay_s for order in orders],
        [order.priority for order in orders],
        [order.key for order in orders],
        [order.deadline_s for order in orders],
        [order.space for order in orders],
    )
    if added:
        ORDERED.set(True)
    return added
