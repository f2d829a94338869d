"""`python -m proofs.fuzzing.hunter SEED INPUTS BOX [TARGET …]`: the hunt in a process of its own, with the product's branches woven.

    weave ─▶ import the product ─▶ hunt each target ─▶ a line of JSON for each, on standard output

Its own process, because what is imported can be woven only once, because an input may end the process, and because its memory is then
the hunt's alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import msgspec

from proofs.fuzzing.branches import BRANCHES, weave
from proofs.fuzzing.rooms import ROOMS


class Whole(msgspec.Struct, tag="whole"):
    """What is said at the end. `cost`: the most bytes of memory for a byte of bomb."""

    taken: int
    woven: int
    cost: float
    guilty: list[str]


BOMBS = 200


def main() -> None:
    seed, inputs, box_file, names = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    weave(ROOMS)
    # From here on, and not before: what comes in with these is woven.
    from proofs.fuzzing.black_box import BlackBox
    from proofs.fuzzing.frame_targets import weigh_bombs
    from proofs.fuzzing.hunting import Tally, attack_parts, weigh
    from proofs.fuzzing.targets import all_targets

    def tell(line: msgspec.Struct) -> None:
        print(msgspec.json.encode(line).decode(), flush=True)

    def tell_tally(tally: Tally) -> None:
        tell(tally)

    targets = [target for target in all_targets() if not names or target.name in names]
    attack_parts(targets, seed, inputs, BlackBox(box_file).note, tell_tally)
    cost, guilty = weigh_bombs(Random(seed), BOMBS, weigh)
    tell(Whole(BRANCHES.taken, BRANCHES.woven, cost, [f"{what}: {data[:60].hex()}" for data, what in guilty]))


if __name__ == "__main__":
    main()
