"""What tests of services over a real Postgres ask for."""

from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]
