"""Who is mentioned in a text: `@` and a name, the longest that stands there.

Invariant: a name counts only where it ends, so that `@anna` never mentions Ann.
"""

from __future__ import annotations

from collections.abc import Mapping


def find_mentions(text: str, names: Mapping[int, str], logins: Mapping[int, str]) -> tuple[int, ...]:
    """The users mentioned by display name or by login name, each once, in the order of the text; case does not matter.

    Where several people go by one display name, all of them are meant. A login name is one person's, whoever else is displayed by it.
    """
    meant: dict[str, tuple[int, ...]] = {}
    for user, name in names.items():
        meant[name.casefold()] = (*meant.get(name.casefold(), ()), user)
    meant.update({name.casefold(): (user,) for user, name in logins.items()})
    longest_first = sorted((name for name in meant if name), key=len, reverse=True)
    text = text.casefold()
    found: dict[int, None] = {}
    at = -1
    while (at := text.find("@", at + 1)) >= 0:
        for name in longest_first:
            end = at + 1 + len(name)
            if text.startswith(name, at + 1) and not (text[end : end + 1].isalnum() or text.startswith("_", end)):
                found.update(dict.fromkeys(meant[name]))
                break
    return tuple(found)
