"""The layout of a store's file, and how an older one becomes it.

    user_version 0 ─▶ 1: records, snapshots, sizes, settled, unapplied, notes; 0 is also an empty file

A layout is only ever added to at the end of `_STEPS`; each step is one transaction together with its number, so that a kill in the middle
leaves the layout before it. Sizes are kept by triggers: no statement can change records and forget them.

Invariant: after `open_database` the layout is the newest and this process holds the file.
"""

from __future__ import annotations

import sqlite3
from typing import Final

RECORD_BYTES: Final = 32
"""What a record takes in the file beside its fields, about: its name, version and row."""

_FIRST: Final = (
    # As files before layout 1 have them already.
    "CREATE TABLE IF NOT EXISTS mutations "
    "(key INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL DEFAULT 0, operation BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS cursors (stream INTEGER PRIMARY KEY, seq INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS bookmarks (name TEXT PRIMARY KEY, position INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    # New in layout 1.
    "CREATE TABLE settled (key INTEGER PRIMARY KEY, number INTEGER NOT NULL, operation BLOB NOT NULL, at INTEGER NOT NULL, "
    "stream INTEGER NOT NULL, echo INTEGER NOT NULL)",
    "CREATE INDEX settled_echo ON settled (stream) WHERE echo > 0",
    "CREATE TABLE unapplied (key INTEGER PRIMARY KEY, operation BLOB NOT NULL, code INTEGER NOT NULL, detail TEXT NOT NULL, "
    "at INTEGER NOT NULL)",
    "CREATE TABLE records (stream INTEGER, entity INTEGER, key INTEGER, version INTEGER NOT NULL, fields BLOB NOT NULL, "
    "gone INTEGER NOT NULL, serial INTEGER NOT NULL, PRIMARY KEY (stream, entity, key)) WITHOUT ROWID",
    "CREATE TABLE snapshots (stream INTEGER PRIMARY KEY, head INTEGER NOT NULL, entity INTEGER NOT NULL, key INTEGER NOT NULL, "
    "serial INTEGER NOT NULL)",
    "CREATE TABLE sizes (stream INTEGER PRIMARY KEY, size_bytes INTEGER NOT NULL, records INTEGER NOT NULL)",
    "CREATE TABLE notes (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TRIGGER record_added AFTER INSERT ON records BEGIN "
    "INSERT INTO sizes SELECT new.stream, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM sizes WHERE stream = new.stream); "
    f"UPDATE sizes SET size_bytes = size_bytes + {RECORD_BYTES} + length(new.fields), records = records + (NOT new.gone) "
    "WHERE stream = new.stream; END",
    "CREATE TRIGGER record_changed AFTER UPDATE OF fields, gone ON records BEGIN "
    "UPDATE sizes SET size_bytes = size_bytes + length(new.fields) - length(old.fields), records = records + old.gone - new.gone "
    "WHERE stream = new.stream; END",
    "CREATE TRIGGER record_dropped AFTER DELETE ON records BEGIN "
    f"UPDATE sizes SET size_bytes = size_bytes - {RECORD_BYTES} - length(old.fields), records = records - (NOT old.gone) "
    "WHERE stream = old.stream; "
    "DELETE FROM sizes WHERE stream = old.stream AND size_bytes = 0; END",
    # Numbers are given in the order of keys and answered in theirs, so the highest that an older file gave is among those it still holds,
    # or nothing is left that could be taken for another's.
    "INSERT INTO facts SELECT 'last_number', max(number) FROM mutations WHERE number > 0 GROUP BY 1",
)
_STEPS: Final = (_FIRST,)


class NewerLayout(Exception):
    """The file was laid out by a newer version of this program."""


def open_database(database: sqlite3.Connection, durable: bool) -> None:
    """Takes hold of the file and brings its layout up to date. Raises `sqlite3.DatabaseError`, `NewerLayout`."""
    if durable:
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
    database.execute("BEGIN IMMEDIATE")
    try:
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version > len(_STEPS):
            raise NewerLayout(f"its layout is {version}, and this program knows up to {len(_STEPS)}")
        for step in _STEPS[version:]:
            for statement in step:
                database.execute(statement)
        database.execute(f"PRAGMA user_version={len(_STEPS)}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
