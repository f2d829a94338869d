"""The Python client: durable, resumable sessions with an EduConnect server.

account.py      HTTP: register, log in, renew          connecting.py   connect(url, credentials) ─▶ Session
session.py      what an application calls              subscription.py what it iterates over
exchange.py     what is asked, heard and still open    fold.py         what streams amount to
runner.py       one socket after another               link.py, websocket.py, store.py, sqlite_store.py: ports and adapters
http_door.py    requests in the place of a socket      replica.py, upkeep.py, snapshots.py: the records of one's streams
mutations.py    what was asked for and not decided     ledger.py, parcels.py: its numbers, its bytes
heirs.py        what a copy inherits                   restored.py    what a restored database knows of one
documents.py    what people write together, open at this end
scope.py        what is kept within a quota            three_way.py    two people's texts, merged
own_account.py  password, address, devices        owner.py       whose store it is
chat.py, sync.py, account_cli.py: the terminal's commands, on all this
"""

from client.account import Account, Credentials
from client.connecting import connect
from client.errors import (
    AccountError,
    ClientError,
    DeviceCopied,
    MutationRefused,
    QueueFull,
    RequestFailed,
    SecondFactorNeeded,
    SessionEnded,
    Unreachable,
)
from client.http_door import sync_once
from client.pending import Pending
from client.session import Session, Status
from client.settings import Settings
from client.sqlite_store import MemoryStore, SqliteStore, StoreFailed, StoreInUse, StoreUnreadable
from client.store import Bookmark, Store
from client.subscription import CaughtUp, Events, Restarted, Unreadable
from client.sync_status import SyncStatus
from client.sync_streams import NoStream

__all__ = [
    "Account",
    "AccountError",
    "Bookmark",
    "CaughtUp",
    "ClientError",
    "Credentials",
    "DeviceCopied",
    "Events",
    "MemoryStore",
    "MutationRefused",
    "NoStream",
    "Pending",
    "QueueFull",
    "RequestFailed",
    "Restarted",
    "SecondFactorNeeded",
    "Session",
    "SessionEnded",
    "Settings",
    "SqliteStore",
    "Status",
    "Store",
    "StoreFailed",
    "StoreInUse",
    "StoreUnreadable",
    "SyncStatus",
    "Unreachable",
    "Unreadable",
    "connect",
    "sync_once",
]
