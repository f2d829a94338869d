"""Whose data it is: archives that leave and come, erasure that reaches everything, retention."""
