"""Value classes are dataclasses in all that anybody can see."""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle
from dataclasses import field, replace
from itertools import product
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

import reconciler
from reconciler.values import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A value of this program."""

    first: object
    second: object = None
    aside: object = field(default=0, compare=False)
    secret: object = field(default=0, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """The same by the standard library."""

    first: object
    second: object = None
    aside: object = field(default=0, compare=False)
    secret: object = field(default=0, repr=False)


@dataclass(frozen=True, slots=True)
class Mixed(Generic[T]):
    """A value with fields of every sort, and a last word."""

    early: T
    late: str = field(default="late", kw_only=True)
    made: list[int] = field(default_factory=list)
    given: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", (*self.given, 0))


@dataclasses.dataclass(frozen=True, slots=True)
class StandardMixed(Generic[T]):
    """The same by the standard library."""

    early: T
    late: str = field(default="late", kw_only=True)
    made: list[int] = field(default_factory=list)
    given: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", (*self.given, 0))


@dataclass(frozen=True, slots=True)
class Single:
    """A value with one field."""

    only: object


@dataclass(frozen=True, slots=True)
class Nothing:
    """A value without fields."""


@dataclass(frozen=True, slots=True)
class Willful:
    """A value with its own idea of everything."""

    field: int

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "myself"


@dataclass(slots=True)
class Changing:
    """No value, as it changes."""

    field: int


VALUES = [
    {"first": first, "second": second, "aside": aside, "secret": secret}
    for first, second, aside, secret in product((1, 2.5, "x"), (1, True, None), (1, 2), (3, 4))
]


def test_equality_and_hash_are_the_standard_ones() -> None:
    """Any two are equal exactly when the standard library's are, and hash like them."""
    for one, other in product(VALUES, VALUES):
        assert (Ours(**one) == Ours(**other)) is (Standard(**one) == Standard(**other))
        assert (Ours(**one) != Ours(**other)) is (Standard(**one) != Standard(**other))
    for each in VALUES:
        assert hash(Ours(**each)) == hash(Standard(**each))


def test_text_is_the_standard_one() -> None:
    """The textual form names the shown fields and hides the hidden."""
    for each in VALUES:
        assert repr(Ours(**each)) == repr(Standard(**each)).replace("Standard", "Ours")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((), {}),
        ((1,), {}),
        ((1, [2], (3,)), {}),
        ((1, [2], (3,), "late"), {}),
        ((1,), {"late": "x", "given": (4,)}),
        ((1,), {"early": 1}),
        ((1,), {"unknown": 1}),
        ((), {"early": 1, "made": [1]}),
    ],
)
def test_arguments_are_the_standard_ones(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    """The same arguments make the same value, or the same error."""

    def outcome(cls: type) -> str:
        try:
            return repr(cls(*given, **named))
        except TypeError as error:
            return str(error)

    assert outcome(Mixed) == outcome(StandardMixed).replace("StandardMixed", "Mixed")


def test_each_value_has_its_own_default() -> None:
    """A default that a factory makes is made for each value."""
    assert Mixed(1).made is not Mixed(1).made
    assert Mixed[int](1) == Mixed(1)


def test_a_value_needs_slots() -> None:
    """A frozen class without slots is refused where it is made."""
    members = {"__doc__": "A class.", "__annotations__": {"field": int}}
    with pytest.raises(AttributeError):
        dataclass(frozen=True)(type("Loose", (), members))


def test_a_value_needs_a_docstring() -> None:
    """The standard library would write one, at the price of all the rest."""

    class Unsaid:
        pass

    with pytest.raises(TypeError, match=r"Unsaid has no docstring"):
        dataclass(frozen=True, slots=True)(Unsaid)


def test_one_field_and_none() -> None:
    """Few fields make no difference."""
    assert Single(1) == Single(1) != Single(2)
    assert hash(Single("x")) == hash(("x",))
    assert Nothing() == Nothing()
    assert (repr(Single(1)), repr(Nothing())) == ("Single(only=1)", "Nothing()")


def test_other_classes_are_never_equal() -> None:
    """Only a value of the same class can be equal."""
    assert Single(1) != (1,)
    assert Ours(first=1) != Standard(first=1)


def test_what_cannot_be_hashed_is_refused() -> None:
    """A value that holds a list has no hash."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Single([]))


def test_own_methods_stay() -> None:
    """What a class says itself counts."""
    assert Willful(1) == Willful(2)
    assert (hash(Willful(1)), repr(Willful(1))) == (7, "myself")


def test_values_cannot_change() -> None:
    """A value is frozen, and has its slots only."""
    value: Any = Single(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.only = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.only
    assert not hasattr(value, "__dict__")


def test_tools_for_dataclasses_work() -> None:
    """A value can be replaced, taken apart, copied and pickled."""
    value = Ours(first=1, second=[2], aside=3, secret=4)
    assert dataclasses.is_dataclass(value)
    assert [each.name for each in dataclasses.fields(value)] == [
        each.name for each in dataclasses.fields(Standard)
    ]
    assert replace(value, second=2) == Ours(first=1, second=2, secret=4)
    assert dataclasses.asdict(Single(1)) == {"only": 1}
    for copied in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert copied == value
        assert (copied.aside, copied.secret) == (3, 4)
    assert copy.deepcopy(value).second is not value.second


def test_what_changes_is_left_alone() -> None:
    """A class that is not frozen is the standard library's, without a hash."""
    assert Changing(1) == Changing(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Changing(1))


def test_the_whole_program_uses_it() -> None:
    """No module of a plan pays for the standard decorator, the client aside."""
    home = Path(reconciler.__file__).parent
    using = {
        path.relative_to(home).parts[0]
        for path in home.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module == "dataclasses"
        and any(each.name == "dataclass" for each in node.names)
    }
    assert using <= {"api", "doctor", "emulator", "values.py"}
