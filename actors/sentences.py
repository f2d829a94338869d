"""What the safety of an account says to its owner: sentences that are the same for everybody, so that mails say them in one's language.

    say("new_device", what="Firefox") ─▶ Notice.words, in English, as the inbox keeps it
    read(words) ─▶ ("new_device", {"what": "Firefox"}) ─▶ gateway/mail/messages/<language>.json: sentences ─▶ mail, push

Invariant: what was said is read back as its key and its values, and words of people's own are never taken for more than they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "password_changed": "the password of this account was changed",
    "address_proven": "the e-mail address of this account was proven",
    "new_device": "a log-in from a new device: {what}",
    "factors_reset": "your second factors were taken away by the operator; the password alone opens this account now",
    "totp_added": "An authenticator app was set up for your account.",
    "passkey_added": "A passkey was set up for your account.",
    "totp_removed": "An authenticator app was removed from your account.",
    "passkey_removed": "A passkey was removed from your account.",
    "last_totp_removed": "An authenticator app was removed from your account. The password alone opens it now.",
    "last_passkey_removed": "A passkey was removed from your account. The password alone opens it now.",
    "codes_renewed": "New recovery codes were made for your account; the earlier ones are worth nothing.",
    "code_used": "A recovery code of your account was used; {left} are left.",
    "wrong_codes": "Many wrong codes were entered for your account. If that was not you, somebody may know your password: change it.",
    "passkey_copied": "A passkey of your account answered as a copy of it would. Remove it if you do not know why.",
}


def say(key: str, **values: str) -> str:
    """The sentence in English. Raises `KeyError` for a key that is none, or a value that is missing."""
    return SENTENCES[key].format_map(values)


def read(words: str) -> tuple[str, dict[str, str]] | None:
    """The sentence's key, and what fills its places; None for words that are none of these."""
    for key, pattern in _patterns().items():
        found = pattern.fullmatch(words)
        if found is not None:
            return key, found.groupdict()
    return None


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    place = re.compile(r"\\\{(\w+)\\\}")
    return {key: re.compile(place.sub(r"(?P<\1>.*)", re.escape(sentence)), re.DOTALL) for key, sentence in SENTENCES.items()}
