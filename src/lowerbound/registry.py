"""A closed dictionary of parts: a member's constructor is its configuration, its JSON and its flags.

A member is a class. Its *positional* parameters come from the data and from the other parts (shapes, sizes);
its *keyword-only* parameters are what a person may choose. Each keyword-only parameter has a type annotation
(with pydantic constraints such as ``Annotated[float, Field(ge=0)]``) and a default.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from lowerbound.errors import InputError, nearest

T = TypeVar("T")


def in_words(fault: Any) -> str:
    """One fault that pydantic found, as what was given and what it should be.

    >>> in_words({"type": "greater_than", "msg": "Input should be greater than 0", "input": -1})
    'got -1; it should be greater than 0'
    """
    if fault["type"] == "literal_error":
        names = re.findall("'([^']*)'", fault["ctx"]["expected"])
        return f"unknown name {fault['input']!r}; {nearest(str(fault['input']), names)}"
    return f"got {fault['input']!r}; it {fault['msg'].removeprefix('Input ').removeprefix('Tuple ')}"


class Registry(Mapping[str, type[T]], Generic[T]):
    """The members of one kind of part, by name.

    >>> shapes = Registry("shape")
    >>> @shapes.register("square")
    ... class Square:
    ...     def __init__(self, dimension: int, *, side: float = 1.0) -> None:
    ...         self.side = side
    >>> shapes.build("square", 2, side=3).side
    3.0
    >>> shapes.build("sqare", 2)
    Traceback (most recent call last):
    ...
    lowerbound.errors.InputError: shape: unknown name 'sqare'; did you mean square? known: square
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._members: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that adds a member under ``name``."""

        def add(member: type[T]) -> type[T]:
            if name in self._members:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._members[name] = member
            member.name = name  # type: ignore[attr-defined]
            return member

        return add

    def __getitem__(self, name: str) -> type[T]:
        if name not in self._members:
            raise InputError(f"unknown name {name!r}", where=self.kind, mend=nearest(name, self._members))
        return self._members[name]

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def options(self, name: str) -> dict[str, tuple[Any, Any]]:
        """The keyword-only parameters of a member: name -> (annotation, default)."""
        member = self[name]
        hints = get_type_hints(member.__init__, include_extras=True)
        parameters = inspect.signature(member).parameters.values()
        chosen = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        return {p.name: (hints[p.name], p.default if p.default is not p.empty else ...) for p in chosen}

    def schema(self, name: str) -> type[BaseModel]:
        """The pydantic model of a member's options."""
        fields: dict[str, Any] = dict(self.options(name))
        config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
        return create_model(f"{self.kind}_{name}", __config__=config, **fields)

    def mistakes(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        """Every fault of ``arguments`` for member ``name``, one sentence each; an empty list when all is well."""
        if name not in self._members:
            return [f"{self.kind}: unknown name {name!r}; {nearest(name, self._members)}"]
        try:
            self.schema(name)(**arguments)
        except ValidationError as error:
            return [self._sentence(name, fault) for fault in error.errors()]
        return []

    def _sentence(self, name: str, fault: Any) -> str:
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = self.options(name)
            hint = nearest(key, known) if known else "it takes none"
            return f"{self.kind}.{key}: {name} has no such option; {hint}"
        return f"{self.kind}.{key}: {in_words(fault)}"

    def validate(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The options of member ``name``, converted and complete with defaults, or an InputError."""
        faults = self.mistakes(name, arguments)
        if faults:
            raise InputError("; ".join(faults))
        model = self.schema(name)(**arguments)
        return {key: getattr(model, key) for key in type(model).model_fields}

    def build(self, name: str, *context: Any, **arguments: Any) -> T:
        """Member ``name``, built from its context and its validated options."""
        return self[name](*context, **self.validate(name, arguments))


def discover(package: str, path: Iterable[str]) -> None:
    """Import every module of a package's own folder, so that a member is found because its file is there."""
    for module in sorted(pkgutil.iter_modules(list(path)), key=lambda m: m.name):
        importlib.import_module(f"{package}.{module.name}")  # own code: the package's own folder
