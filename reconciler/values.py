"""How value classes are made: like the standard library's, for a quarter of the time.

`dataclasses.dataclass` writes and compiles source for six methods of each class, half a
millisecond a class, and a small run makes sixty. Here only `__init__` is compiled, what else the
fields decide is code that is there already, and attributes are set by their slots, which makes the
values faster too. Fields, and everything else, are the standard library's, and type checkers see
nothing but its decorator.

Promises: values are made, compared, hashed, shown, copied and kept from changing as the standard
ones are, and a method that a class defines itself stays.
Refuses: frozen classes without slots, and classes without a docstring: the standard library would
write one, in twice the time of all the rest. All fields of a value are given when it is made.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen=False, **options):
        """Make a class a dataclass, with the options of the standard library's decorator."""
        if not frozen:  # no value: made as ever
            return dataclasses.dataclass(**options)
        make = dataclasses.dataclass(init=False, eq=False, repr=False, **options)

        def decorate(cls):
            if not cls.__doc__:
                raise TypeError(f"{cls.__qualname__} has no docstring")
            own = set(cls.__dict__)
            made = make(cls)
            for name, method in _methods(made, dataclasses.fields(made)).items():
                if name not in own:
                    setattr(made, name, method)
            return made

        return decorate


__all__ = ["dataclass"]

_Fields = tuple[dataclasses.Field[Any], ...]


def _methods(cls: Any, fields: _Fields) -> dict[str, Any]:
    """Return what the fields decide."""
    names = [each.name for each in fields]
    shown = [each.name for each in fields if each.repr]
    compared = _getter([each.name for each in fields if each.compare])
    state = _getter(names)

    def equal(self: object, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compared(self) == compared(other)

    def hash_of(self: object) -> int:
        return hash(compared(self))

    def text(self: object) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({parts})"

    def restore(self: object, values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    return {
        "__init__": _initializer(cls, fields),
        "__eq__": equal,
        "__hash__": hash_of,
        "__repr__": text,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__getstate__": lambda self: state(self),
        "__setstate__": restore,
    }


def _getter(names: list[str]) -> Any:
    """Return a function from a value to the tuple of the attributes called `names`."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _initializer(cls: Any, fields: _Fields) -> Any:
    """Compile `__init__`: each argument goes straight into its slot."""
    known: dict[str, Any] = {"MISSING": MISSING}
    arguments = ["self"]
    lines = []
    for each in sorted(fields, key=lambda each: bool(each.kw_only)):  # positional ones first
        name, value = each.name, each.name
        if each.kw_only and "*" not in arguments:
            arguments.append("*")
        if each.default is not MISSING:
            known[f"default_{name}"] = each.default
            arguments.append(f"{name}=default_{name}")
        elif each.default_factory is not MISSING:
            known[f"make_{name}"] = each.default_factory
            arguments.append(f"{name}=MISSING")
            value = f"make_{name}() if {name} is MISSING else {name}"
        else:
            arguments.append(name)
        known[f"set_{name}"] = getattr(cls, name).__set__
        lines.append(f" set_{name}(self, {value})\n")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()\n")
    exec(f"def __init__({', '.join(arguments)}):\n{''.join(lines) or ' pass'}", known)  # noqa: S102
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"  # messages about arguments say it
    return made


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
