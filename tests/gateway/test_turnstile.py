"""What comes together begins one after the other, and others have their turn between."""

from __future__ import annotations

import trio
import trio.testing

from gateway.turnstile import Turnstile


async def test_of_many_who_come_together_one_begins_in_each_turn_of_the_loop_in_their_order() -> None:
    turnstile, turns, begun = Turnstile(), 0, []

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def come(number: int) -> None:
        await turnstile.wait()
        begun.append((number, turns))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        async with trio.open_nursery() as visitors:
            for number in range(50):
                visitors.start_soon(come, number)
                await trio.lowlevel.checkpoint()  # so that they come in this order
        nursery.cancel_scope.cancel()
    assert [number for number, _ in begun] == list(range(50))
    assert len({turn for _, turn in begun}) == 50


async def test_one_who_gave_up_waiting_holds_nobody_up() -> None:
    turnstile = Turnstile()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turnstile.wait)
        with trio.CancelScope() as scope:
            scope.cancel()
            await turnstile.wait()
    with trio.fail_after(5):
        await turnstile.wait()
