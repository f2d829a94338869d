"""The OpenAPI 3.1 document, made from the routes that an application has.

    url_map ─▶ paths and their bounds     @needs ─▶ security, 401, 403, 404     @answers ─▶ bodies, queries, fields, answers
    structs ─msgspec─▶ schemas            web_bounds ─▶ the largest body        codes ─▶ problems

Every refusal is documented: those that follow from what is declared are added here, so that a route says only what is its own.

Invariant: what is described is what is there; nothing of it is written by hand twice.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from quart_trio import QuartTrio
from werkzeug.routing import IntegerConverter, Rule

from gateway.openapi_answers import Answers, Body, Media, declared_answers
from gateway.problems import CONTENT_TYPE, STATUS, ProblemBody
from gateway.web_bounds import bounds_of
from gateway.web_needs import declared
from protocol.codes import Code
from protocol.permissions import Needs, Scope

VERSION: Final = "3.1.0"
API_VERSION: Final = "1"
API_PREFIX: Final = "/api/"
_ARGUMENT: Final = re.compile(r"<(?:[^:<>]+:)?(\w+)>")
_ORDER: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REFERENCE: Final = "#/components/schemas/{name}"
_INTRODUCTION: Final = """The realtime backend of a community-based learning platform. What is realtime goes over the socket
(`/socket`, described in `docs/protocol.md`); this is the fallback, the front door, and the way in for other systems.

Whoever asks shows an access token (`POST /api/v1/auth/login`) or, where a route is about a community or the platform, an API key:
`Authorization: Bearer …`. What cannot be done is answered as `application/problem+json` (RFC 9457) with the `code` that the socket uses,
too; 429 and 503 say when to come back. Objects that are sent are read strictly: a field that is not described is refused."""
_PROBLEMS: Final[Mapping[int, str]] = {
    400: "The request is malformed; `detail` says what is allowed.",
    401: "An access token is missing, over, or none of ours; or what was to prove something does not.",
    403: "Whoever asks may not, or has to prove anew who they are (`code` says which).",
    404: "There is no such thing, or not for whoever asks: the two are not told apart.",
    408: "The body did not arrive in time.",
    409: "It does not fit what is there by now, or a bound is reached.",
    410: "It was there, and its time is over.",
    412: "A condition of the request does not hold.",
    413: "The body is too large.",
    415: "The body is of another type than the one that is taken.",
    416: "No byte of it is in the range that was asked for.",
    421: "Another gateway has it; begin anew here.",
    422: "The key has been used for another request.",
    429: "Too many requests of this kind; come back after `Retry-After`.",
    460: "The bytes are not those of the digest that came with them.",
    500: "A fault of the server's; it has been written down.",
    503: "Something is away or busy for the moment; asking again is safe. Come back after `Retry-After`.",
}


def describe(app: QuartTrio) -> dict[str, Any]:
    """The document, for this application's routes."""
    found = declared_answers(app)
    rules = sorted((rule for rule in app.url_map.iter_rules() if rule.endpoint in found), key=lambda rule: (_path(rule), _methods(rule)))
    kinds = _kinds(found[rule.endpoint] for rule in rules)
    refs, components = msgspec.json.schema_components(kinds, schema_hook=_schema, ref_template=_REFERENCE)
    schemas = dict(zip(kinds, refs, strict=True))
    needs = declared(app)
    paths: dict[str, dict[str, Any]] = {}
    for rule in rules:
        for method in _methods(rule):
            operation = _operation(app, rule, method, found[rule.endpoint], needs.get(rule.endpoint), schemas, components)
            paths.setdefault(_path(rule), {})[method.lower()] = operation
    for kind in {one.query for one in found.values() if one.query is not None}:
        # They stand with each route, field by field.
        components.pop(schemas[kind]["$ref"].rpartition("/")[2])
    statuses = sorted({int(status) for path in paths.values() for operation in path.values() for status in operation.pop("x-problems")})
    tags = sorted({tag for path in paths.values() for operation in path.values() for tag in operation["tags"]})
    return {
        "openapi": VERSION,
        "info": {"title": "EduConnect", "version": API_VERSION, "description": _INTRODUCTION, "license": {"name": "see LICENSE"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {f"Problem{status}": _problem(status) for status in statuses},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token."},
                "key": {"type": "http", "scheme": "bearer", "bearerFormat": "edk_…", "description": "An API key of a service account."},
            },
        },
    }


def undeclared(app: QuartTrio) -> list[str]:
    """Routes that say nothing of what they answer."""
    found = declared_answers(app)
    return sorted(f"{','.join(_methods(rule))} {rule} ({rule.endpoint})" for rule in app.url_map.iter_rules() if rule.endpoint not in found)


def _kinds(declarations: Iterator[Answers]) -> list[type[msgspec.Struct]]:
    """Every struct that is spoken of, once, in an order that does not depend on anything but the routes."""
    kinds: dict[type[msgspec.Struct], None] = {ProblemBody: None}
    for one in declarations:
        for body in (one.takes, one.query, *one.gives.values()):
            kinds.update(dict.fromkeys(_structs(body)))
    return list(kinds)


def _schema(kind: type) -> dict[str, Any]:
    """Of what no struct describes: anything."""
    if kind is object:
        return {"description": "Anything."}
    raise NotImplementedError


def _structs(body: Body) -> tuple[type[msgspec.Struct], ...]:
    if body is None or isinstance(body, Media):
        return ()
    return body if isinstance(body, tuple) else (body,)


def _path(rule: Rule) -> str:
    return _ARGUMENT.sub(r"{\1}", rule.rule)


def _methods(rule: Rule) -> list[str]:
    methods = (rule.methods or set()) - {"HEAD"}
    # Where a route answers OPTIONS itself, it answers nothing else.
    return [method for method in _ORDER if method in methods and (method != "OPTIONS" or methods == {"OPTIONS"})]


def _operation(
    app: QuartTrio,
    rule: Rule,
    method: str,
    one: Answers,
    needs: Needs | None,
    schemas: Mapping[type[msgspec.Struct], dict[str, Any]],
    components: Mapping[str, Any],
) -> dict[str, Any]:
    tag, _, _ = rule.endpoint.rpartition(".")
    problems = _refusals(rule, method, one, needs)
    rest = inspect.getdoc(app.view_functions[rule.endpoint]) or ""
    operation: dict[str, Any] = {
        "operationId": f"{rule.endpoint}",
        "tags": [tag or "node"],
        "summary": one.words,
        **({"description": rest} if rest else {}),
        "security": _security(needs),
        **_needs(needs),
        "parameters": [*_arguments(rule), *_query(one, schemas, components), *_fields(one)],
        "responses": {
            **{str(status): _answer(status, body, one, schemas) for status, body in sorted(one.gives.items())},
            **{str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in problems if status not in one.gives},
        },
        "x-problems": [status for status in problems if status not in one.gives],
    }
    if one.takes is not None:
        operation["requestBody"] = {
            "required": not one.body_optional,
            "content": _content(one.takes, schemas),
            "description": f"At most {bounds_of(rule.rule).body_bytes_max} bytes.",
        }
    return operation


def _security(needs: Needs | None) -> list[dict[str, list[str]]]:
    if needs is None or needs.scope is Scope.ANYONE:
        return []
    if needs.scope in (Scope.SPACE, Scope.PLATFORM) and not needs.step_up:
        return [{"token": []}, {"key": []}]
    return [{"token": []}]


def _needs(needs: Needs | None) -> dict[str, Any]:
    if needs is None:
        return {}
    said: dict[str, Any] = {"x-scope": needs.scope.value}
    if needs.permission is not None:
        said["x-permission"] = needs.permission.name.lower()
    if needs.step_up:
        said["x-step-up"] = True
    return said


def _refusals(rule: Rule, method: str, one: Answers, needs: Needs | None) -> list[int]:
    """Statuses of problems, ascending: what is declared, and what follows."""
    statuses = {400, 500, 503} | {int(STATUS[refusal]) if isinstance(refusal, Code) else refusal for refusal in one.refuses}
    if needs is not None and needs.scope is not Scope.ANYONE:
        statuses.add(401)
        if needs.step_up or needs.scope in (Scope.SPACE, Scope.PLATFORM):
            statuses.add(403)
        if needs.scope is Scope.SPACE:
            statuses.add(404)
    if rule.arguments:
        statuses.add(404)
    if rule.rule.startswith(API_PREFIX):
        statuses.add(429)
    if method in ("POST", "PUT", "PATCH"):
        statuses |= {408, 413}
    if one.takes is not None:
        statuses.add(415)
    return sorted(statuses)


def _arguments(rule: Rule) -> list[dict[str, Any]]:
    converters = rule._converters
    return [{"name": name, "in": "path", "required": True, "schema": _argument(converters[name])} for name in _ARGUMENT.findall(rule.rule)]


def _argument(converter: object) -> dict[str, Any]:
    if not isinstance(converter, IntegerConverter):
        return {"type": "string", "minLength": 1}
    bounds = {"minimum": converter.min, "maximum": converter.max}
    return {"type": "integer", "minimum": 0, **{name: bound for name, bound in bounds.items() if bound is not None}}


def _query(one: Answers, schemas: Mapping[type[msgspec.Struct], dict[str, Any]], components: Mapping[str, Any]) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    schema = components[schemas[one.query]["$ref"].rpartition("/")[2]]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(value)}
        for name, value in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """In a query nothing is null: it is left out."""
    if "anyOf" not in schema:
        return schema
    kept = [part for part in schema["anyOf"] if part != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**kept[0], **rest} if len(kept) == 1 else {"anyOf": kept, **rest}


def _fields(one: Answers) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name,
            "in": "header",
            "required": field.required,
            "description": field.words,
            "schema": {"type": "string", **({"pattern": field.pattern} if field.pattern else {})},
        }
        for field in one.fields
    ]


def _answer(status: int, body: Body, one: Answers, schemas: Mapping[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if one.sends:
        answer["headers"] = {name: {"description": words, "schema": {"type": "string"}} for name, words in one.sends.items()}
    if body is not None:
        answer["content"] = _content(body, schemas)
    return answer


def _content(body: Body, schemas: Mapping[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    if isinstance(body, Media):
        if body.type.endswith(("json", "manifest")):
            return {body.type: {"schema": {"type": "object"}}}
        return {body.type: {"schema": {"type": "string"} if body.text else {"type": "string", "format": "binary"}}}
    refs = [schemas[kind] for kind in _structs(body)]
    return {"application/json": {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}}}


def _problem(status: int) -> dict[str, Any]:
    fields: dict[str, str] = {}
    if status in (429, 503):
        fields["Retry-After"] = "Seconds to wait."
    if status == 401:
        fields["WWW-Authenticate"] = "Bearer."
    return {
        "description": _PROBLEMS.get(status) or HTTPStatus(status).phrase,
        **({"headers": {name: {"description": words, "schema": {"type": "string"}} for name, words in fields.items()}} if fields else {}),
        "content": {CONTENT_TYPE: {"schema": {"$ref": _REFERENCE.format(name=ProblemBody.__name__)}}},
    }
