"""JSON as the API promises it, and nothing that only Python takes for JSON.

Promises: UTF-8 without exceptions, no NaN or Infinity, no number beyond a double, no key twice, no
nesting that exhausts the interpreter; the complaint holds no text of the document.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

_TYPE: Final = re.compile(r"application/(?:json|[\w.+-]+\+json)", re.ASCII | re.IGNORECASE)


class NotJsonError(ValueError):
    """A document that is not strict JSON; the message says in which way, in our words."""


def is_json(content_type: str) -> bool:
    """Say whether a `Content-Type` announces JSON."""
    return _TYPE.fullmatch(content_type.partition(";")[0].strip()) is not None


def decode(data: bytes) -> Any:
    """Return the value that `data` holds. Raises NotJsonError."""
    problem = "it is truncated or malformed"
    try:
        return _DECODE(data.decode("utf-8"))
    except NotJsonError as error:
        problem = str(error)
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError:
        pass
    # Raised out here: the errors above hold the document, and would come along as context.
    raise NotJsonError(problem)


def encode(value: object) -> bytes:
    """Return `value` as JSON, in ASCII, so that no text can fail to be encoded."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJsonError("it has a duplicate key")
    return found


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJsonError("it has a number out of range")
    return number


def _constant(text: str) -> float:
    raise NotJsonError("it has NaN or Infinity")


_DECODE: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_constant=_constant
).decode
