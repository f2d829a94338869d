"""What each route takes and answers, declared where it is written: the half of the OpenAPI document that `needs` does not say.

    @needs(OWN)
    @answers("What the account says.", {200: Account})               on the method that answers
    @answers("Begins an upload.", {201: None}, fields=("Upload-Length",), refuses=(Code.LIMIT, 412))

What follows from elsewhere is not said again: the refusals of whoever is not let in, of bodies that are too large or too late, of too many
requests and of faults (`openapi`).

Invariant: a route without a declaration is a failing test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from quart import request
from quart_trio import QuartTrio

from gateway.problems import Problem
from protocol.codes import Code

View = TypeVar("View", bound=Callable[..., Any])
S = TypeVar("S", bound=Struct)

_ATTRIBUTE: Final = "__answers__"


class Media(Struct, frozen=True):
    """A body that is not JSON."""

    type: str
    text: bool = False


class Field(Struct, frozen=True):
    """A field of a request's head."""

    name: str
    words: str
    required: bool = False
    pattern: str = ""


Body = type[Struct] | tuple[type[Struct], ...] | Media | None
"""A struct as JSON; one of several structs; something that is not JSON; nothing."""


class Answers(Struct, frozen=True):
    """A declaration. `gives`: by status; `refuses`: problems beside those of every route, as codes or, where HTTP has a finer
    word, statuses. `sends`: fields of its answers, by name, with words."""

    words: str
    gives: Mapping[int, Body]
    takes: Body = None
    body_optional: bool = False
    query: type[Struct] | None = None
    fields: tuple[Field, ...] = ()
    sends: Mapping[str, str] = {}
    refuses: tuple[Code | int, ...] = ()
    compress: bool = False
    """Long answers may be made smaller: there is never a secret in them."""


def answers(
    words: str,
    gives: Mapping[int, Body],
    *,
    takes: Body = None,
    body_optional: bool = False,
    query: type[Struct] | None = None,
    fields: tuple[Field, ...] = (),
    sends: Mapping[str, str] | None = None,
    refuses: tuple[Code | int, ...] = (),
    compress: bool = False,
) -> Callable[[View], View]:
    """Declares it, on the function or method that answers a route. `words`: a sentence for integrators; the docstring goes on."""

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, Answers(words, gives, takes, body_optional, query, fields, sends or {}, refuses, compress))
        return view

    return declare


def declared_answers(app: QuartTrio) -> dict[str, Answers]:
    """The declarations by endpoint."""
    return {endpoint: found for endpoint, view in app.view_functions.items() if (found := answers_of(view)) is not None}


def answers_of(view: object) -> Answers | None:
    """What a view declares, if anything."""
    found: Answers | None = getattr(view, _ATTRIBUTE, None)
    return found


def read_query(kind: type[S]) -> S:
    """What stands behind the question mark, as a `kind`. Raises `Problem`."""
    if any(len(values) > 1 for values in request.args.listvalues()):
        raise Problem(Code.INVALID, "the query names a field twice")
    try:
        return msgspec.convert(request.args.to_dict(), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(Code.INVALID, f"{error}; allowed: {', '.join(kind.__struct_fields__) or 'nothing'}") from None
