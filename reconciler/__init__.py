"""Keep the webhooks of a CloudTruth organization equal to what YAML in git declares."""

from __future__ import annotations

__version__ = "0.1.0"
