"""The names by which a gateway may be asked (`listen.hosts`), where its operator says them.

    Host ─▶ none are said │ an address │ this machine │ one of them ─▶ asked          any other name ─▶ refused

A page of anywhere may give its own name the address of a server in its visitor's network, and ask that under its own name: it is of the
same origin then, for browser and server alike. Nobody's rights come with it, since there are no cookies here; but it reaches what only
that network reaches. Such a request has a name in its Host that the operator never gave.

Invariant: what asks by an address is no such page, since a page that came from an address came from what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address


def is_ours(host: str, names: Sequence[str]) -> bool:
    """Whether a `Host` with or without a port names this server. `names`: in lower case; without any, every name does."""
    if not names or not host:
        return True
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host.partition(":")[0].rstrip(".").lower()
    if name in names or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
