"""The reference and the schema suffice: a reader made of docs/protocol.json alone agrees with the server about every vector."""

from __future__ import annotations

import base64
import json
import re
from http import HTTPMethod
from typing import Any, get_args

import msgpack
import pytest

from protocol import codes, frames, guide, reference
from protocol.merge import Outcome
from protocol.permissions import Permission
from protocol.reference import in_words
from protocol.schema import describe
from tests.protocol.files import ROOT
from tests.protocol.test_vectors import VECTORS, as_json, as_msgpack, claims

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/protocol.json").read_text("utf-8"))
REFERENCE = reference.render()
GROUPS = {"command": "commands", "operation": "operations", "frame": "frames", "body": "bodies"}
READERS = {group: {form["tag"]: form for form in SCHEMA[key]} for group, key in GROUPS.items()}
NAMED = {entry["name"]: entry for key in ("values", "enumerations", "records") for entry in SCHEMA[key]}


class Refused(Exception):
    """The reader below does not take it."""


def read(group: str, data: bytes) -> tuple[str, dict[str, Any]]:
    """Reads a frame as the author of a client in another language would, with nothing but the schema and a msgpack library."""
    try:
        wire = as_json(msgpack.unpackb(data, strict_map_key=False))
    except (ValueError, msgpack.UnpackException) as error:
        raise Refused(str(error)) from None
    if not (isinstance(wire, list) and wire and type(wire[0]) is int):
        raise Refused("no frame")
    form = READERS[group].get(wire[0])
    if form is None:
        if group in ("frame", "body"):
            return f"Unknown{group.title()}", {"tag": wire[0]}
        raise Refused("unknown")
    return form["name"], read_fields(form, wire[1:])


def default_of(field: dict[str, Any]) -> Any:
    """What stands in the place of what was left out: bytes are in base64, as JSON has no others."""
    match field["shape"]["type"]:
        case "fields":
            return {"map": []}
        case "bytes":
            return {"bin": base64.b64decode(field["default"]).hex()}
        case _:
            return field["default"]


def read_fields(form: dict[str, Any], elements: list[Any]) -> dict[str, Any]:
    known = form["fields"]
    required = sum(field["required"] for field in known)
    if len(elements) < required or (form["strict"] and len(elements) > len(known)):
        raise Refused("length")
    values = dict(zip((field["name"] for field in known), elements, strict=False))
    for field in known:
        if field["name"] in values:
            check(field["shape"], values[field["name"]])
        else:
            values[field["name"]] = default_of(field)
    return values


def check(shape: dict[str, Any], value: Any) -> None:
    """Raises `Refused` unless `value` has this shape."""
    match shape["type"]:
        case "int":
            good = type(value) is int and shape["minimum"] <= value <= shape["maximum"]
        case "str":
            most = shape["max_length"]
            good = type(value) is str and shape["min_length"] <= len(value) <= (len(value) if most is None else most)
        case "bool":
            good = type(value) is bool
        case "array":
            most = shape["max_length"]
            good = type(value) is list and shape["min_length"] <= len(value) <= (len(value) if most is None else most)
            for element in value if good else []:
                check(shape["of"], element)
        case "bytes":
            most = shape["max_length"]
            length = len(value["bin"]) // 2 if type(value) is dict and set(value) == {"bin"} else -1
            good = shape["min_length"] <= length <= (length if most is None else most)
        case "fields":
            good = True  # read in a second step
        case "union":
            good = True  # read in a second step
        case "named":
            good = check_named(shape["name"], value)
        case other:
            raise AssertionError(other)
    if not good:
        raise Refused(f"{value!r} is no {shape}")


def check_named(name: str, value: Any) -> bool:
    if name == "Code":
        return type(value) is int and value >= 0
    named = NAMED[name]
    if "shape" in named:
        check(named["shape"], value)
    elif "members" in named:
        return type(value) is int and (named["open"] or value in [member["value"] for member in named["members"]])
    else:
        if type(value) is not list:
            raise Refused(name)
        read_fields(named, value)
    return True


@claims("valid")
def test_a_reader_made_of_the_schema_reads_every_valid_vector(entry: dict[str, Any]) -> None:
    assert read(entry["reader"], bytes.fromhex(entry["hex"])) == (entry["type"], entry["fields"])


@claims("newer")
def test_a_reader_made_of_the_schema_survives_a_newer_server(entry: dict[str, Any]) -> None:
    name, fields = read(entry["reader"], bytes.fromhex(entry["hex"]))
    if entry["type"] == "UnknownEvent":
        assert name == "Event" and read("body", msgpack.packb(as_msgpack(fields["body"])))[0] == "UnknownBody"
    else:
        if fields.get("code") not in (None, *(row["value"] for row in SCHEMA["codes"])):
            fields["code"] = 4011 if fields["code"] >= 4000 else 1  # as the document says: the most careful of those one knows
        assert (name, fields) == (entry["type"], entry["fields"])


def test_a_reader_made_of_the_schema_refuses_what_the_server_refuses() -> None:
    for entry in VECTORS["invalid"]:
        if "nested deeper" not in entry["name"]:
            with pytest.raises(Refused):
                read(entry["reader"], bytes.fromhex(entry["hex"]))


# The document


def test_the_reference_describes_everything_on_the_wire() -> None:
    schema = describe()
    for form in schema.forms():
        title = f"### {form.name}" + (f" · {form.tag}" if form.tag is not None else "")
        assert re.search(f"^{re.escape(title)}$", REFERENCE, re.MULTILINE), title
        assert form.description in REFERENCE
        for field in form.fields:
            assert re.search(rf"\| `{field.name}` \|", REFERENCE)
    for row in schema.codes:
        assert f"| {row.value} | `{row.name}` | {row.then} | {row.meaning} |" in REFERENCE
    for value in schema.values:
        assert f"| `{value.name}` |" in REFERENCE


def test_the_reference_says_what_every_command_and_operation_needs() -> None:
    schema = describe()
    for form in (*schema.commands, *schema.operations):
        assert form.needs is not None, form.name
        _, _, section = REFERENCE.partition(f"\n### {form.name} · {form.tag}\n")
        assert f"*Needs:* {in_words(form.needs)}." in section.split("\n### ")[0], form.name
    for permission in Permission:
        assert f"| {permission.value} | `{permission.name}` |" in REFERENCE


def test_links_in_the_reference_lead_somewhere() -> None:
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in REFERENCE.splitlines() if line.startswith("#")}
    links = set(re.findall(r"\]\(#([^)]+)\)", REFERENCE))
    assert links and links <= headings


def test_the_guide_names_only_what_exists() -> None:
    schema = describe()
    known = {form.name for form in schema.forms()} | {value.name for value in schema.values} | {row.name for row in schema.codes}
    known |= {f"{form.name}.{field.name}" for form in schema.forms() for field in form.fields} | {
        "Origin",
        "Retry-After",
        *(method.name for method in HTTPMethod),
    }
    known |= {outcome.name for outcome in Outcome}
    words = " ".join(text for name, text in vars(guide).items() if name.isupper())
    named = {name.removesuffix(".limits") for name in re.findall(r"`([A-Z][A-Za-z_.]+)`", words)}
    named = {name.replace("Welcome.limits.", "Limits.") for name in named}
    assert named <= known, named - known


def test_every_command_that_is_answered_says_by_what() -> None:
    unanswered = {"Bye", "Typing", "Aware"}
    for form in describe().commands:
        assert bool(form.answers) == (form.name not in unanswered), form.name


def test_every_frame_answers_something_or_is_told_unasked() -> None:
    answers = {answer for form in describe().commands for answer in form.answers}
    unasked = {"Draining", "Goodbye", "Event", "Lagged", "Unfollowed", "IsTyping", "IsAware"}
    assert {kind.__name__ for kind in get_args(frames.AnyFrame)} == answers | unasked
    assert not answers & unasked


def test_tags_of_one_reader_are_unique_and_cost_one_byte() -> None:
    schema = describe()
    for forms in (schema.commands, schema.operations, schema.frames, schema.bodies, (*schema.commands, *schema.frames)):
        tags = [form.tag for form in forms]
        assert len(set(tags)) == len(tags)
        assert all(tag is not None and 0 < tag < 128 for tag in tags)


def test_required_fields_come_before_those_with_a_default() -> None:
    for form in describe().forms():
        required = [field.required for field in form.fields]
        assert required == sorted(required, reverse=True)


def test_what_a_client_sends_is_strict_and_what_a_server_sends_may_grow() -> None:
    schema = describe()
    assert [form.name for form in (*schema.commands, *schema.operations) if not form.strict] == ["Hello", "Resume", "Sync"]
    assert not any(form.strict for form in (*schema.frames, *schema.bodies))


def test_the_schema_has_every_code() -> None:
    assert {row.value for row in describe().codes} == set(codes.Code)
