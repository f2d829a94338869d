"""The matrix of who may do what: generated from what each command declares, asked of a server that runs."""
