"""What the conformance suites ask for: a real Postgres and a real Valkey, which one side of each comparison stands on."""

from tests.conformance.scene import scene
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.fixtures_valkey import valkey, valkey_server

__all__ = ["bridge", "database", "postgres_server", "postgres_template", "scene", "valkey", "valkey_server"]
