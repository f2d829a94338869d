"""Faults: a live installation, hundreds of devices, everything that can go wrong drawn from a seed, and a checker that knows it all."""
