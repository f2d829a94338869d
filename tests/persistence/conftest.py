"""What tests of persistence ask for."""

from tests.fixtures_postgres import (
    bridge,
    database,
    empty_database,
    free_port,
    postgres_server,
    postgres_template,
)

__all__ = ["bridge", "database", "empty_database", "free_port", "postgres_server", "postgres_template"]
