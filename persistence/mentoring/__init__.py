"""Mentorships in Postgres: the operations on them, what the search for a mentor reads, and what the matching model is fed."""
