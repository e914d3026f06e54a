"""Configuration files in every style that people write, with their data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from reconciler.source.writer import inline, scalar

EVENTS = ("value_created", "value_updated", "parameter_deleted", "*_updated", "project_created")
CHANNELS = st.sampled_from(("#ops", "yes", "1e3", "null", "ops-é", "C0123456", "on"))
USERNAMES = st.sampled_from(
    (
        "yes", "null", "1e3", "é 😀", "it's", 'say "hi"', "a: b", "- x", "{x}", "#ops",
        "long name " * 9 + "end",
    )
)  # fmt: skip
URLS = st.sampled_from(("https://example.com/hooks", "http://10.0.0.1:8080/a/b", "https://é.test/"))
event_lists = st.lists(st.sampled_from(EVENTS), min_size=1, unique=True)
slack = st.fixed_dictionaries(
    {"channel": CHANNELS, "username": USERNAMES, "token": st.just({"env": "TOKEN"})}
).map(lambda configuration: {"type": "slack", "configuration": configuration})
generic = st.fixed_dictionaries({"url": URLS}).map(
    lambda configuration: {"type": "generic", "configuration": configuration}
)


@st.composite
def entries(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Return the data of a declaration."""
    kind = draw(slack | generic)
    return {"name": name, "event_types": draw(event_lists), **kind}


@st.composite
def texts(draw: st.DrawFn, value: Any) -> str:
    """Return a text as plain or quoted YAML, other data on one line."""
    if not isinstance(value, str):
        return inline(value)
    doubled = value.replace("'", "''")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return draw(st.sampled_from((scalar(value), f"'{doubled}'", f'"{escaped}"')))


@st.composite
def written(draw: st.DrawFn, *head: str, prefix: str = "w") -> tuple[bytes, list[dict[str, Any]]]:
    """Return a file that starts with the lines `head`, and the data of its webhooks."""
    numbers = range(draw(st.integers(1, 4)))
    data = [draw(entries(f"{prefix}{number} é")) for number in numbers]
    dash = " " * draw(st.sampled_from((0, 2, 4)))
    step = draw(st.sampled_from((2, 4)))
    comments = st.sampled_from(("", "  # a [comment], - with: marks"))
    pad, gap = f"{dash}{' ' * step}", " " * (step - 1)
    lines = [*head, f"webhooks:{draw(comments)}"]
    if draw(st.booleans()):
        lines.insert(0, "# the file's own comment")
    for entry in data:
        lines += draw(
            st.sampled_from(([], [""], ["", f"{dash}# a note\twith a tab"], [f"{dash}# a note"]))
        )
        configuration = entry["configuration"]
        values = [f"{key}: {draw(texts(value))}" for key, value in configuration.items()]
        events = [draw(texts(event)) for event in entry["event_types"]]
        name = f"name: {draw(texts(entry['name']))}"
        flow_events = f"event_types: [{', '.join(events)}]"
        flow_configuration = f"configuration: {{{', '.join(values)}}}"
        kind = f"type: {entry['type']}"
        if draw(st.booleans()):
            lines.append(f"{dash}-{gap}{{{name}, {kind}, {flow_events}, {flow_configuration}}}")
            continue
        lines += [f"{dash}-{gap}{name}{draw(comments)}", f"{pad}{kind}"]
        if draw(st.booleans()):
            lines.append(f"{pad}{flow_events}{draw(comments)}")
        else:
            lines.append(f"{pad}event_types:{draw(comments)}")
            lines += [f"{pad}  - {event}{draw(comments)}" for event in events]
        if draw(st.booleans()):
            lines.append(f"{pad}{flow_configuration}")
        else:
            lines.append(f"{pad}configuration:")
            lines += [f"{pad}{' ' * step}{value}{draw(comments)}" for value in values]
    if draw(st.booleans()):
        lines.append("protect: [x]  # the end")
    newline = draw(st.sampled_from(("\n", "\r\n")))
    text = newline.join(lines) + draw(st.sampled_from(("", newline, newline * 2)))
    mark = draw(st.sampled_from((b"", b"\xef\xbb\xbf")))
    return mark + text.encode(), data
