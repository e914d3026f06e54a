"""The YAML parser: libyaml's where PyYAML has it, else the pure one, which is some 20 x slower.

Both turn the same text into the same events, once `characters.py` has refused what they read
differently.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import yaml

Parser: TypeAlias = Any
"""A class that is called with text and then asked `get_event()` until the stream ends."""

PURE: Final[Parser] = yaml.SafeLoader
FAST: Final[Parser | None] = getattr(yaml, "CSafeLoader", None)
PARSER: Final[Parser] = FAST or PURE
