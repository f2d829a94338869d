"""A whole installation in one thread, on one seed: gateways' actors and clients for real; network, Redis, Postgres and clock simulated."""
