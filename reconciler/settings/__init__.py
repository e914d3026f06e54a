"""Where to connect, as whom, and for how long."""

from __future__ import annotations

from reconciler.settings.resolve import Arguments, Setting, Settings, resolve

__all__ = ["Arguments", "Setting", "Settings", "resolve"]
