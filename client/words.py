"""How the terminal speaks to people: whole sentences, no codes, one person and two people."""

from __future__ import annotations

from client.errors import AccountError, ClientError, MutationRefused, RequestFailed, Unreachable
from protocol.codes import TABLE, Code
from protocol.values import Harm, HeldState

PLAIN = {Code.NOT_FOUND: "There is nothing of that name or number, or it is not open to you."}
"""Where the table's own words are for programs."""
QUOTED_MAX = 40
"""Characters of somebody's own message that are repeated to say which one is meant."""


def sentence(text: str) -> str:
    """With a capital letter at its beginning and a full stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


def refusal(what: str, refused: MutationRefused | RequestFailed) -> str:
    """What was refused, and why: in the server's own words where it gave any."""
    code = Code(refused.code)
    return f"{what} was refused. {sentence(refused.detail or PLAIN.get(code) or TABLE[code].meaning)}"


def failure(error: ClientError, url: str) -> str:
    """Why nothing more can be done, for whoever typed the command. A problem's detail says it all; its title is for programs."""
    match error:
        case AccountError():
            return sentence(error.detail or error.title)
        case Unreachable():
            return f"No server answers at {url}."
        case _:
            return sentence(str(error))


def quoted(text: str) -> str:
    """A message's beginning, in quotation marks."""
    return f"“{text}”" if len(text) <= QUOTED_MAX else f"“{text[: QUOTED_MAX - 1]}…”"


def people(count: int, more: bool = False) -> str:
    """So many people. `more`: at least."""
    return "1 person" if count == 1 and not more else f"{count}{'+' if more else ''} people"


_BECAUSE = {
    Harm.TOXIC: "it can hurt somebody",
    Harm.HATE: "it puts people down for what they are",
    Harm.INSULT: "it can hurt somebody",
    Harm.THREAT: "it reads like a threat",
    Harm.SEXUAL: "it is not fit for everybody here",
    Harm.SPAM: "it reads like advertising, or was said again and again",
    Harm.PERSONAL: "it shows personal data",
}
_STANDS = {
    HeldState.CHECKING: "waits to be looked at before others see it",
    HeldState.WAITING: "waits for a person to look at it",
    HeldState.HIDDEN: "was taken back; /appeal {held} WORDS has a person look at it",
    HeldState.RELEASED: "was let through",
    HeldState.UPHELD: "stays away; /appeal {held} WORDS has another person look at it",
    HeldState.LAPSED: "is over",
    HeldState.NOTED: "stands",
}


def because(harm: Harm) -> str:
    """Why moderation took something back, for who reads along."""
    return _BECAUSE.get(harm, "somebody has to look at it first")


def stands(held: int, state: HeldState, appealed: bool) -> str:
    """Where something of one's own that is held stands."""
    if appealed and state in (HeldState.HIDDEN, HeldState.UPHELD):
        return "was taken back; you asked for another look"
    return _STANDS.get(state, "is held").format(held=held)
