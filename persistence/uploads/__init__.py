"""Uploads in Postgres and the object store: taking them in, finishing them, attaching them, and letting them go."""
