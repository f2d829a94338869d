"""`python -m proofs unreviewed`: who speaks and decides, what strikes, and what must be true of the log at every moment."""
