"""Reading the house's laws from the syntax tree: what a law test needs to see of a source file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "lowerbound"


@dataclass(frozen=True)
class Source:
    """One file of the library: its path under the package and its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def floor(self) -> str:
        """The folder it lives in, or its own name for a file at the top."""
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def module(self) -> str:
        """Its dotted name below ``lowerbound``."""
        return self.path.removesuffix(".py").removesuffix("__init__").rstrip("/").replace("/", ".")

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{node.lineno}: {what}"  # type: ignore[attr-defined]

    def excused(self, node: ast.AST, comment: str) -> bool:
        """Whether a line of ``node`` carries ``# comment: why``."""
        lines = self.text.splitlines()[node.lineno - 1 : node.end_lineno]  # type: ignore[attr-defined]
        return any(f"# {comment}: " in line and line.split(f"# {comment}: ")[1].strip() for line in lines)

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Every call with the dotted name of what is called; "" where it has none, ".name" on an expression."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node, dotted(node.func)

    def imports(self) -> Iterator[tuple[ast.stmt, str, bool]]:
        """Every module imported at run time, and whether at the top of the file; relative ones are made absolute."""
        hidden = {id(n) for guard in ast.walk(self.tree) if type_checking(guard) for n in ast.walk(guard)}
        inside = {id(n) for f in ast.walk(self.tree) if isinstance(f, FUNCTIONS) for n in ast.walk(f)}
        for node in ast.walk(self.tree):
            if id(node) not in hidden:
                for name in self._imported(node):
                    yield node, name, id(node) not in inside  # type: ignore[misc]

    def _imported(self, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        package = ["lowerbound", *self.path.split("/")[:-1]]
        base = ".".join(package[: len(package) - node.level + 1] if node.level else []) if node.level else ""
        home = ".".join(part for part in (base, node.module or "") if part)
        return [f"{home}.{alias.name}" for alias in node.names]


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING")


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or attribute; ``.c`` when it hangs on an expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def sources(root: Path = SOURCE) -> list[Source]:
    """Every Python file below ``root``, in order."""
    files = sorted(root.rglob("*.py"))
    return [Source(f.relative_to(root).as_posix(), f.read_text(encoding="utf-8")) for f in files]


def snippet(path: str, text: str) -> list[Source]:
    """A planted file, to see a law fail."""
    return [Source(path, text)]
