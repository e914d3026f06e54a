"""User text in messages."""

from __future__ import annotations

from reconciler.findings import masked


def test_quoted_user_text_is_limited() -> None:
    """A message quotes neither tokens nor long strings."""
    assert masked("type xoxb-12345-abc") == "type ***"
    assert masked("slak") == "slak"
    assert masked("x" * 200) == "x" * 117 + "..."
