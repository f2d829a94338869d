"""Valid frames, made from the protocol's own types: whatever is added to the protocol is attacked from the next run on.

    AnyCommand, AnyOperation ─msgspec.inspect─▶ shapes ─chance─▶ [tag, field, …] (a tree) ─encode─▶ bytes

A tree is what msgpack carries: lists, numbers, texts, bytes. It is valid as it leaves here; `mutation` sees to the rest. Identifiers
are mostly those of the `Terrain`, because a stream that does not exist is refused before anything interesting happens.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec import Struct, inspect

from protocol.entities import TABLE, FieldKind, Several, Whole, Words, YesNo
from protocol.frames import CHUNK_CHANGES_MAX, AnyCommand, ChangeItem, Chunk
from protocol.operations import AnyOperation
from protocol.values import ID_MAX

Tree: TypeAlias = Any
"""Lists, numbers, texts, bytes, booleans, None and dicts, nested: anything that msgpack can say."""

_ENCODER: Final = msgspec.msgpack.Encoder()
TEXTS: Final = (
    "hello",
    "Jambo, habari?",
    "ελληνικά",
    "🦒🦓",
    "\u202e",
    "x" * 4000,
    "'; DROP TABLE messages; --",
    "{}",
    "\ud7ff\ue000",
)


class Terrain(Struct, frozen=True):
    """What an attacker knows to exist. Other people's things are among it: knowing of them must not help."""

    streams: tuple[int, ...]
    spaces: tuple[int, ...]
    users: tuple[int, ...]
    token: str = ""
    device: int = 1
    ticket: bytes = b""


TERRAIN: Final = Terrain((1, 2, 3, 2**53 - 1), (1, 2), (1, 2))
"""For the parts that know of no streams at all."""


def encode_tree(tree: Tree) -> bytes:
    """The tree's msgpack. Raises `OverflowError` for numbers that msgpack cannot hold."""
    return _ENCODER.encode(tree)


@functools.cache
def _shapes(union: object) -> tuple[inspect.StructType, ...]:
    return cast("tuple[inspect.StructType, ...]", cast(inspect.UnionType, inspect.type_info(union)).types)


@functools.cache
def _shape(kind: type[Struct]) -> inspect.StructType:
    return cast("inspect.StructType", inspect.type_info(kind))


class Grammar:
    """Valid trees by chance. `number` is where the next mutation's number comes from."""

    def __init__(self, chance: Random, terrain: Terrain) -> None:
        self._chance = chance
        self._terrain = terrain
        self.number = 1
        self._made: dict[str, Callable[[], Tree]] = {
            "stream": lambda: chance.choice(terrain.streams),
            "space": lambda: chance.choice(terrain.spaces),
            "user": lambda: chance.choice(terrain.users),
            "users": lambda: [chance.choice(terrain.users) for _ in range(chance.randint(1, 3))],
            "ticket": lambda: terrain.ticket or chance.randbytes(31),
            "token": lambda: terrain.token or "a.b.c",
            "device": lambda: terrain.device,
            "version": lambda: 1,
            "id": lambda: chance.randint(1, 40),
            "number": lambda: self.number,
            "fields": self.fields,
            "changes": self.changes,
            "settings": lambda: chance.choice(("{}", '{"theme":"dark"}', '{"a":[1,2,{"b":null}]}')),
        }

    def command(self) -> list[Tree]:
        """Any command."""
        tree = self._struct(self._chance.choice(_shapes(AnyCommand)))
        if tree[0] == Chunk.__struct_config__.tag:
            tree[1] = min(tree[1], ID_MAX - CHUNK_CHANGES_MAX)  # there is a number for each of its changes
        return tree

    def hello(self) -> list[Tree]:
        """A Hello with the terrain's token."""
        return self._struct(_shapes(AnyCommand)[0])

    def mutate(self, operation: Tree | None = None) -> list[Tree]:
        """A Mutate with the next number, and any operation unless one is given."""
        return [6, self.number, self.operation() if operation is None else operation]

    def operation(self) -> list[Tree]:
        """Any operation."""
        return self._struct(self._chance.choice(_shapes(AnyOperation)))

    def changes(self) -> list[Tree]:
        """Items of a run in a chunk."""
        return [self._struct(_shape(ChangeItem)) for _ in range(self._chance.choice((1, 2, 20)))]

    def fields(self) -> Tree:
        """Fields of some entity, of any schema."""
        chance = self._chance
        declared = chance.choice(list(TABLE.values())).fields
        return {field.number: self._field_value(field.kind) for field in chance.sample(declared, chance.randint(0, len(declared)))}

    def _field_value(self, kind: FieldKind) -> Tree:
        chance = self._chance
        match kind:
            case Whole(minimum, maximum):
                return chance.choice((minimum, maximum, chance.randint(minimum, min(maximum, minimum + 40))))
            case Words(max_length):
                return chance.choice(TEXTS)[:max_length]
            case YesNo():
                return chance.random() < 0.5
            case Several(of, max_length):
                return [self._field_value(of) for _ in range(chance.randint(0, min(3, max_length)))]

    def _struct(self, shape: inspect.StructType) -> list[Tree]:
        tree: list[Tree] = [] if shape.tag is None else [shape.tag]
        for field in shape.fields:
            if not field.required and self._chance.random() < 0.2:
                break  # trailing fields with a default may be left out
            tree.append(self._field(field))
        return tree

    def _field(self, field: inspect.Field) -> Tree:
        make = self._made.get(field.name)
        # By chance alone a chunk's changes would be shorter than any change is.
        if make is not None and (self._chance.random() < 0.9 or field.name == "changes"):
            return make()
        return self._value(field.type)

    def _value(self, shape: inspect.Type) -> Tree:
        chance = self._chance
        match shape:
            case inspect.Metadata():
                return self._value(shape.type)
            case inspect.IntType():
                least = shape.ge if shape.ge is not None else -(2**31)
                most = shape.le if shape.le is not None else 2**31
                return chance.choice((least, most, chance.randint(least, min(most, least + 40))))
            case inspect.StrType():
                text = chance.choice(TEXTS)[: shape.max_length]
                return text.ljust(max(1, shape.min_length or 0), "x")
            case inspect.BoolType():
                return chance.random() < 0.5
            case inspect.EnumType():
                return chance.choice([member.value for member in shape.cls])
            case inspect.VarTupleType():
                return [self._value(shape.item_type) for _ in range(chance.randint(shape.min_length or 0, 3))]
            case inspect.StructType():
                return self._struct(shape)
            case inspect.BytesType():
                least, most = shape.min_length or 0, shape.max_length or 40
                return chance.randbytes(chance.choice((least, most, chance.randint(least, most))))
            case inspect.RawType():
                return self.operation()
            case _:
                raise AssertionError(f"no way to make a {shape}")
