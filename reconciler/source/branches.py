"""From the judge's errors to violations: which branch of a union the author had in mind.

The judge's own messages quote values, secrets included, and of a union they explain the wrong
branch as often as not. So only the kind and the place of an error are taken from it; the branch
is chosen as a reader would: by `type`, by `state`, by the form of a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.model import Path
from reconciler.source import keys, values
from reconciler.source.violation import Violation
from reconciler.source.wording import REFERENCE, near

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


class Explainer:
    """Explains the errors of one piece of data.

    `definitions` are the schema's; `default_type` is the type of webhooks that name none.
    """

    def __init__(self, definitions: Mapping[str, Any], default_type: object = None) -> None:
        self._definitions = definitions
        self._default_type = default_type

    def explain(self, errors: Iterable[ValidationError]) -> list[Violation]:
        """Return one violation for each place; where a value breaks several rules, the first."""
        found: dict[tuple[Path, bool], Violation] = {}
        for error in errors:
            for violation in self._one(error):
                found.setdefault((violation.path, violation.on_key), violation)
        return list(found.values())

    def _one(self, error: ValidationError) -> Iterator[Violation]:
        path = tuple(error.absolute_path)
        value: Any = error.instance
        limit: Any = error.validator_value
        match error.validator:
            case "anyOf":
                yield from self._union(error, value, [_name(each) for each in limit], path)
            case "additionalProperties":
                known = list(error.schema["properties"])  # type: ignore[index]
                yield from keys.unknown_keys(value, known, path)
            case "required":
                of_pair = "then" in error.absolute_schema_path
                yield from keys.missing(value, limit, path, of_pair=of_pair)
            case "type":
                yield values.wrong_type(value, limit, path)
            case "uniqueItems":
                yield from values.duplicates(value, path)
            case "const":
                yield values.not_the_one(value, path)
            case keyword:
                yield values.unfit(str(keyword), limit, path)

    def _union(
        self, error: ValidationError, value: Any, names: list[str], path: Path
    ) -> Iterator[Violation]:
        if not names[0]:
            yield values.bad_event(value, path)
        elif "envSecret" in names:
            yield from self._secret(error, value, names, path)
        elif isinstance(value, dict):
            yield from self._within(error, self._branch(error, value, names))
        else:
            yield values.wrong_type(value, "object", path)

    def _secret(
        self, error: ValidationError, value: Any, names: list[str], path: Path
    ) -> Iterator[Violation]:
        if not isinstance(value, dict):
            violation = values.wrong_type(value, "string", path)
            if value is not None:
                violation = replace(violation, hint=f"refer to it: {REFERENCE}")
            yield violation
        else:
            schemes = [scheme for key in value if (scheme := near(key, ("env", "file")))]
            if len(set(schemes)) == 1:
                found = self._within(error, names.index(f"{schemes[0]}Secret"))
                # Where `env` is missing, a key much like it was just called unknown.
                yield from (each for each in found if each.rule != "missing-field")
            else:
                yield values.bad_reference(both=bool(schemes), path=path)

    def _within(self, error: ValidationError, branch: int) -> Iterator[Violation]:
        for child in error.context or ():
            if child.schema_path[0] == branch:
                yield from self._one(child)

    def _branch(self, error: ValidationError, value: dict[str, Any], names: list[str]) -> int:
        """Return the branch that the author of a mapping had in mind."""
        types = [self._constant(name, "type") for name in names]
        states = [self._constant(name, "state") for name in names]
        if value.get("state") == "absent" and "absent" in states:
            return states.index("absent")
        if wanted := _nearest(value.get("type", self._default_type), types):
            return types.index(wanted)
        # The type says nothing: what fits best, but nothing is deleted that does not say so.
        candidates = [index for index, state in enumerate(states) if state != "absent"]
        return min(candidates, key=lambda index: sum(1 for _ in self._within(error, index)))

    def _constant(self, name: str, key: str) -> str | None:
        """Return the one text that a property of a definition may be."""
        schema = self._definitions[name]["properties"].get(key, {})
        constant = self._definitions.get(_name(schema), schema).get("const")
        return constant if isinstance(constant, str) else None


def _name(schema: Mapping[str, Any]) -> str:
    """Return the name of the definition that `schema` refers to; empty if it does not."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _nearest(value: object, constants: Iterable[str | None]) -> str | None:
    known = [each for each in constants if each is not None]
    return near(value, known) if isinstance(value, str) else None
