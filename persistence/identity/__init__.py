"""One's own account in Postgres: password, address, the links that prove them, devices. `own` is the port's; the rest is what it does."""
