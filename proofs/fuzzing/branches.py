"""Which branches of the product an input took: marks woven into its functions while they are imported.

    weave(rooms) ─▶ import ─▶ every block of every function begins with `__took__[n] = 1`
    take an input ─▶ fresh() ─▶ how many of the marks were never there before

One assignment into a byte array costs 20 ns where a tracing function costs a microsecond a line, and needs no package that rewrites
bytecode. Only what is imported afterwards is woven; without weaving there are no marks, and novelty is what targets say of themselves.

Invariant: woven code does what it did before; nothing but functions' bodies is touched.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Final

MARKS_MAX: Final = 16_384
"""Room for every branch of the rooms that are attacked: some 2,500."""
MARK: Final = "__took__"


class Branches:
    """The marks. One process has one set of them, because woven modules hold on to it."""

    def __init__(self) -> None:
        self.marks = bytearray(MARKS_MAX)
        self.woven = 0
        """How many places there are in what was woven so far."""
        self._known = 0
        self._clean = bytes(MARKS_MAX)

    @property
    def taken(self) -> int:
        """How many branches were ever taken, of `woven`."""
        return self._known.bit_count()

    def begin(self) -> None:
        """Forgets what was taken since the last look."""
        self.marks[: self.woven] = self._clean[: self.woven]

    def fresh(self) -> int:
        """How many branches were taken since `begin` that never were before; they count as known from now on."""
        seen = int.from_bytes(self.marks[: self.woven], "little")
        new = seen & ~self._known
        self._known |= seen
        return new.bit_count()

    def place(self) -> int:
        """A number for one more branch. Raises `OverflowError` when `MARKS_MAX` is too small."""
        if self.woven >= MARKS_MAX:
            raise OverflowError(f"more than {MARKS_MAX} branches are woven")
        self.woven += 1
        return self.woven - 1


BRANCHES: Final = Branches()


def weave(prefixes: Sequence[str]) -> None:
    """From here on, modules below these names are woven when they are imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(tuple(prefixes)))


class _Finder(MetaPathFinder):
    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._prefixes = prefixes

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not any(fullname == prefix or fullname.startswith(prefix + ".") for prefix in self._prefixes):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        return compile(ast.fix_missing_locations(_Weaver().visit(tree)), path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[MARK] = BRANCHES.marks
        super().exec_module(module)


class _Weaver(ast.NodeTransformer):
    """Marks the beginning of each block, and the later operands of `and`, `or` and conditional expressions, inside functions."""

    def __init__(self) -> None:
        self._inside = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._inside += 1
        said = [node.body.pop(0)] if ast.get_docstring(node, clean=False) is not None else []
        node.body = [self.visit(statement) for statement in node.body]
        node.body = [*said, _mark(), *node.body]
        self._inside -= 1
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        inside, self._inside = self._inside, 0
        self.generic_visit(node)
        self._inside = inside
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if not self._inside:
            return node
        match node:
            case ast.If():
                node.body = [_mark(), *node.body]
                node.orelse = [_mark(), *node.orelse]
            case ast.For() | ast.AsyncFor() | ast.While():
                node.body = [_mark(), *node.body]
            case ast.ExceptHandler() | ast.match_case():
                node.body = [_mark(), *node.body]
            case ast.BoolOp():
                node.values = [node.values[0], *map(_marked, node.values[1:])]
            case ast.IfExp():
                node.body, node.orelse = _marked(node.body), _marked(node.orelse)
        return node


def _place() -> ast.Constant:
    return ast.Constant(BRANCHES.place())


def _mark() -> ast.stmt:
    return ast.Assign([ast.Subscript(ast.Name(MARK, ast.Load()), _place(), ast.Store())], ast.Constant(1))


def _marked(value: ast.expr) -> ast.expr:
    """The same value, with a mark on the way to it: `(__took__.__setitem__(n, 1) or value)`."""
    taking = ast.Attribute(ast.Name(MARK, ast.Load()), "__setitem__", ast.Load())
    return ast.BoolOp(ast.Or(), [ast.Call(taking, [_place(), ast.Constant(1)], []), value])
