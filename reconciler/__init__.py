"""Keep your CloudTruth webhooks in sync with YAML in git."""

from __future__ import annotations

__version__ = "0.1.0"
