"""`python -m proofs sync_model [--examples N] [--seed S]`: devices, people and a server through whatever may happen, and then the promises.

Hypothesis makes the stories up, from seeds: each seed stands for so many stories, always the same ones. Prints a line for the lot; where a
promise is broken, the shortest story that breaks it, with exit status 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import hypothesis
import trio
from hypothesis.stateful import run_state_machine_as_test

from proofs.numbers import at_least_one

EXAMPLES_OF_A_SEED = 100
STEPS = 50


def play(seed: int, examples: int, shrink: bool = True) -> tuple[int, float, str]:
    """One seed's stories; the CPU seconds they took, and what was found. `shrink`: a story that breaks a promise is made short first."""
    from proofs.syncing.story import Story

    began = time.process_time()
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
        phases=(hypothesis.Phase.generate, *((hypothesis.Phase.shrink,) if shrink else ())),
    )

    async def run() -> None:
        # The client's code asks trio for the time; nothing here ever waits for it.
        run_state_machine_as_test(hypothesis.seed(seed)(Story), settings=settings)

    trouble = ""
    try:
        trio.run(run)
    except Exception as error:  # noqa: BLE001 - any failure of any kind is the finding
        trouble = "".join(traceback.format_exception(error))
    return seed, time.process_time() - began, trouble


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs sync_model", description=__doc__)
    parser.add_argument("--examples", type=at_least_one, default=500, help="how many stories")
    parser.add_argument("--seed", type=int, default=1, help=f"the first seed; each stands for {EXAMPLES_OF_A_SEED} stories")
    parser.add_argument("--processes", type=at_least_one, default=2)
    arguments = parser.parse_args(argv)
    full, rest = divmod(arguments.examples, EXAMPLES_OF_A_SEED)
    sizes = [EXAMPLES_OF_A_SEED] * full + [rest] * (rest > 0)
    failed, cpu_s = 0, 0.0
    with ProcessPoolExecutor(arguments.processes) as pool:
        for seed, took_s, trouble in pool.map(play, range(arguments.seed, arguments.seed + len(sizes)), sizes):
            cpu_s += took_s
            if trouble:
                failed += 1
                print(f"seed {seed}: {trouble}\n  again: python -m proofs sync_model --seed {seed} --examples 100", file=sys.stderr)
    print(f"stories {arguments.examples}, seeds that broke a promise {failed}; {cpu_s:.0f} s of CPU")
    return 1 if failed else 0
