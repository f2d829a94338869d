"""The parts of `python -m proofs rings`."""
