"""The whole application, with every part that an installation may leave out, to be looked at: nothing of it can be asked.

create_app(anything) ─▶ url_map, declarations ─▶ docs/openapi.json, the matrix of who may do what
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from quart_trio import QuartTrio

from gateway.openapi import describe
from gateway.web import create_app
from gateway.web_services import Services


class _Anything:
    """Stands for a port of an application that is only looked at."""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __call__(self, *arguments: object, **named: object) -> _Anything:
        return self


@cache
def whole_app() -> QuartTrio:
    """It, made once."""
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(Services):
        if field.required or field.default is None:
            given[field.name] = _Anything()
    return create_app(Services(**given))


def render() -> str:
    """Its OpenAPI document, as it stands in `docs/openapi.json`."""
    return msgspec.json.format(msgspec.json.encode(describe(whole_app())), indent=2).decode() + "\n"
