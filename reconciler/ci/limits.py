"""GitHub's limits: text is cut at a line's end, counted as GitHub counts it, and says so."""

from __future__ import annotations

from typing import Final

COMMENT_CHARACTERS: Final = 60_000
"""A comment or issue may have 65,536 characters; the rest is room for what GitHub adds."""

SUMMARY_BYTES: Final = 1_000_000
"""A step summary over 1 MiB is dropped whole, so it must never come near."""


def cut_characters(text: str, limit: int, *, notice: str) -> str:
    """Return `text`, or its first whole lines and `notice`, in at most `limit` characters."""
    if len(text) <= limit:
        return text
    room = limit - len(notice) - 2
    if room <= 0:
        return notice[: max(limit, 0)]
    end = text.rfind("\n", 0, room + 1)
    return text[: max(end, 0)] + f"\n{notice}\n"


def cut_bytes(text: str, limit: int, *, notice: str) -> str:
    """Return `text`, or its first whole lines and `notice`, in at most `limit` bytes of UTF-8."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    room = limit - len(notice.encode("utf-8")) - 2
    if room <= 0:
        return notice.encode("utf-8")[: max(limit, 0)].decode("utf-8", "ignore")
    end = raw.rfind(b"\n", 0, room + 1)  # a line end is never part of a longer character
    return raw[: max(end, 0)].decode("utf-8") + f"\n{notice}\n"
