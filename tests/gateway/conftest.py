"""Fixtures of this room's tests."""

from tests.fixtures_valkey import valkey, valkey_server

__all__ = ["valkey", "valkey_server"]
