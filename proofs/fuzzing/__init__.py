"""Malformed input: valid traffic, damaged in every way that a seed can choose, and what the server must do about it.

    grammar.py    valid frames and operations, made from the protocol's own types
    mutation.py   what becomes of them: trees, bytes, wires; and bombs
    heads.py      request heads, handshakes and bodies, well-formed and not
    targets.py    the pure parts, in this process
    house.py      the actors with in-memory ports, in this process
    verdict.py    what a server may say, and what counts as a finding
    line.py       a raw connection that keeps no rules
    storm.py      frames against a running server; knocking.py: heads against it
    neighbours.py healthy clients beside all that
    siege.py      all of it together: servers, storms, neighbours, memory before and after

Invariant: every input follows from the seed, the worker and its number, so a finding can be made again.
"""
