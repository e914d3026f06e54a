#!/usr/bin/env python3
"""Draw the README's pictures from the program's output: `python scripts/pictures.py`.

The input is `docs/images/example/`: a file, its previous version, and the live webhooks. The same
input always gives the same bytes, so a test compares them with the repository. The pictures follow
the reader's light or dark theme, and use only common fonts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options

from reconciler.api.wire import live_webhook
from reconciler.ci.github import Pull
from reconciler.ci.marker import Marker, encode
from reconciler.ci.plan import plan as plan_pull_request
from reconciler.ci.run import Run
from reconciler.model import LiveWebhook, Organization
from reconciler.planning.planner import PlanOptions
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render import RENDERERS, View
from reconciler.source.files import SourceFile, Sources
from reconciler.source.load import parse_files
from reconciler.workflow import Inputs, gather, load, load_all, plan

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
EXAMPLE: Final = IMAGES / "example"
_COMMIT: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_INPUTS: Final = Inputs(directory=EXAMPLE, environ={}, stdin=bytes)

_LINE: Final = 18  # pixels from one line of the terminal to the next
_COLUMNS: Final = 100  # of the terminal, which breaks longer lines
_COLUMN: Final = 7.85  # pixels of a character at 13 pixels
_SGR: Final = re.compile(r"\x1b\[([0-9;]*)m")
_STYLES: Final = {"32": "add", "33": "edit", "31": "cut", "35": "note", "1": "strong", "2": "faint"}

_THEME: Final = """\
  .page { fill: #ffffff; stroke: #d1d9e0 } .bar { fill: #f6f8fa } .plain { fill: #1f2328 }
  .add { fill: #116329 } .edit { fill: #7d4e00 } .cut { fill: #b31d28 } .note { fill: #6639ba }
  .faint { fill: #59636e } .strong { font-weight: bold }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d } .bar { fill: #151b23 } .plain { fill: #f0f6fc }
    .add { fill: #3fb950 } .edit { fill: #d29922 } .cut { fill: #ff7b72 } .note { fill: #d2a8ff }
    .faint { fill: #9198a1 }
  }
"""
_COMMENT_STYLE: Final = """\
  .body { font: 14px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
    color: #1f2328; line-height: 21px; white-space: nowrap }
  .body * { margin: 0; padding: 0; font-size: 14px }
  .body h3 { font-size: 17px; height: 36px }
  .body table { border-collapse: collapse; margin-bottom: 12px }
  .body th, .body td { height: 32px; padding: 0 10px; border: 1px solid #d1d9e0; text-align: left }
  .body code, .body pre { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
    background: #eff1f3; border-radius: 4px }
  .body code { padding: 2px 4px } .body pre code { padding: 0 } .body p { margin-bottom: 9px }
  .body ul { padding-left: 22px; margin-bottom: 9px } .body summary { margin-bottom: 9px }
  .body pre { padding: 9px 12px; line-height: 18px; margin-bottom: 12px }
  .body pre i { font-style: normal; font-size: 12px; display: block; height: 18px }
  .body .in { color: #116329; background: #dafbe1 } .body .on { color: #7d4e00 }
  .body .out { color: #82071e; background: #ffebe9 } .body a { color: #0969da }
  @media (prefers-color-scheme: dark) {
    .body { color: #f0f6fc } .body th, .body td { border-color: #3d444d }
    .body code, .body pre { background: #262c36 } .body a { color: #4493f8 }
    .body .in { color: #aff5b4; background: #033a16 }
    .body .out { color: #ffdcd7; background: #67060c } .body .on { color: #d29922 }
  }
"""
_MONO: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_SANS: Final = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"


class FakeApi:
    """A fake CloudTruth API that returns the webhooks of a file, by default the example's."""

    origin = "https://api.cloudtruth.io"

    def __init__(self, name: str = "Acme", file: Path = EXAMPLE / "live.json") -> None:
        self._name = name
        self._file = file

    def organization(self) -> Organization:
        """Return the organization of the example."""
        return Organization(id="org-1", name=self._name, role="ADMIN")

    def list(self) -> tuple[LiveWebhook, ...]:
        """Return the live webhooks."""
        rows = json.loads(self._file.read_text("utf-8"))["results"]
        return tuple(map(live_webhook, rows))

    def get(self, id: str) -> LiveWebhook | None:
        """Return one webhook."""
        return next((each for each in self.list() if each.id == id), None)


class Recorder:
    """A fake GitHub API that has no comments and records the new one."""

    requests = 0

    def __init__(self) -> None:
        self.body = ""

    def impatient(self) -> AbstractContextManager[None]:
        """Return a context without an effect: no request waits."""
        return nullcontext()

    def merged_pulls(self, branch: str) -> tuple[tuple[Pull, ...], str]:
        """Return no pull requests."""
        return (), ""

    def comments(self, number: int) -> Sequence[Any]:
        """Return no comments."""
        return ()

    def pull(self, number: int) -> Pull:
        """Return an open pull request."""
        return Pull(
            number=number,
            is_open=True,
            head=_COMMIT,
            branch="main",
            merged_at="",
            merge_commit="",
        )

    def comment(self, number: int, marker: Marker, text: str, old: None = None) -> None:
        """Record a comment."""
        self.body = f"{encode(marker)}\n{text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connection:
    api: FakeApi
    key: None = None
    workers: None = None

    def unreachable(self) -> None:
        """Return None: the server can be reached."""


def terminal() -> str:
    """Return the output of `webhooks plan`, with colors."""
    made = plan(gather(load(_INPUTS)), FakeApi(), options=PlanOptions())
    view = View(color=True, key_source="CLOUDTRUTH_API_KEY")
    return RENDERERS["text"]().render_run(RunPlan.of(made), view)


def organizations() -> str:
    """Return the output of `webhooks plan` for 60 organizations, one of them with a guard."""
    folder = IMAGES / "organizations"
    names = ["Acme", *(f"Acme {number}" for number in range(2, 61))]
    layers = []
    for name in names:
        guard = "limits: {max_deletes: 0}\n" if name == "Acme 7" else ""
        text = f"extends: base.yaml\norganization: {name}\n{guard}"
        layers.append(SourceFile(file=f"{name}.yaml", raw=text.encode()))
    base = SourceFile(file="base.yaml", raw=(folder / "base.yaml").read_bytes())
    parsed = parse_files(Sources(files=tuple(layers), read_parent=lambda name: base))
    sources = load_all(_INPUTS._replace(parsed=parsed, paths=("organizations",)))
    plans = []
    for name, source in zip(names, sources, strict=True):
        file = folder / ("live-7.json" if name == "Acme 7" else "live.json")
        organization = plan(gather(source.checked), FakeApi(name, file), options=PlanOptions())
        plans.append(OrganizationResult(name, source.files.paths, organization))
    return RENDERERS["text"]().render_run(
        RunPlan(tuple(plans)), View(color=True, shows_digest=False)
    )


def comment() -> str:
    """Return the comment of `webhooks ci plan` on a pull request with the example's change."""

    @contextmanager
    def connect(targets: Sequence[Any]) -> Iterator[Any]:
        yield tuple(target._replace(connection=_Connection(api=FakeApi())) for target in targets)

    def git(arguments: Sequence[str]) -> bytes | None:
        if "--is-shallow-repository" in arguments:
            return b"false\n"
        if "ls-tree" in arguments:
            return f"100644 blob {_COMMIT}\twebhooks.yaml\0".encode()
        if "log" in arguments:
            return f"0 {_COMMIT}".encode()
        blob = (EXAMPLE / "before.yaml").read_bytes()
        return blob if "cat-file" in arguments else _COMMIT.encode()

    recorder = Recorder()
    address = "https://github.com/acme/config/actions/runs/1"
    github: Any = recorder
    plan_pull_request(
        Run(
            inputs=_INPUTS._replace(git=git),
            connect=connect,
            github=github,
            pull=recorder.pull(7),
            base_commit=_COMMIT,
            repository="acme/config",
            url=address,
        )
    )
    return recorder.body


def draw_terminal(text: str, title: str, command: str = "webhooks plan") -> str:
    """Draw the colored output of a command like a terminal."""
    lines = [f"$ {command}", ""]
    for line in text.rstrip("\n").split("\n"):
        end = len(line) if "\x1b" in line else _COLUMNS
        lines += [line[:end], *([line[end:]] if line[end:] else [])]
    width = round(_COLUMNS * _COLUMN) + 40
    height = 58 + _LINE * len(lines)
    rows = [
        f'<text x="20" y="{56 + _LINE * number}" xml:space="preserve">{_spans(line)}</text>'
        for number, line in enumerate(lines)
        if line
    ]
    dots = [f'<circle cx="{20 + 16 * dot}" cy="16" r="5" class="faint"/>' for dot in range(3)]
    style = f"{_THEME}  text {{ font: 13px {_MONO}; white-space: pre }}\n"
    return _picture(title, width, height, style, [*dots, *rows])


def draw_comment(text: str) -> str:
    """Draw Markdown like a GitHub comment, with its details open."""
    visible = re.sub(r"<!--.*?-->\n?", "", text, flags=re.S)
    html = github_flavored_markdown_to_html(visible, Options.CMARK_OPT_UNSAFE)
    html = html.replace("<details>", '<details open="open">')
    html = re.sub(r'<pre lang="diff"><code>(.*?)</code></pre>', _diff, html, flags=re.S)
    height = 44 + 16 + _height(html)
    name = '<text x="20" y="25" class="plain strong name">github-actions</text>'
    when = '<text x="132" y="25" class="faint name">bot commented</text>'
    body = (
        f'<foreignObject x="20" y="54" width="920" height="{height - 54}">'
        f'<div xmlns="http://www.w3.org/1999/xhtml" class="body">\n{html}</div></foreignObject>'
    )
    style = f"{_THEME}{_COMMENT_STYLE}  .name {{ font: 14px {_SANS} }}\n  .name.strong"
    style += " { font-weight: 600 }\n"
    return _picture("A plan as a comment on a pull request", 960, height, style, [name, when, body])


def pictures() -> dict[str, str]:
    """Return each picture by its file name."""
    several = "A plan for 60 organizations in the terminal"
    return {
        "plan.svg": draw_terminal(terminal(), "A plan in the terminal"),
        "plan-organizations.svg": draw_terminal(
            organizations(), several, "webhooks plan organizations"
        ),
        "comment.svg": draw_comment(comment()),
    }


def _picture(title: str, width: int, height: int, style: str, inside: Sequence[str]) -> str:
    content = "\n".join(inside)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n<title>{title}</title>\n<style>\n{style}</style>\n'
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>\n'
        f'<path class="bar" d="M1 9a8 8 0 0 1 8-8h{width - 18}a8 8 0 0 1 8 8v27H1z"/>\n'
        f"{content}\n</svg>\n"
    )


def _spans(line: str) -> str:
    """Return the pieces of a line of the terminal, each with its style."""
    pieces = _SGR.split(line)
    spans = []
    for style, piece in zip(["", *pieces[1::2]], pieces[0::2], strict=True):
        names = [_STYLES[code] for code in style.split(";") if code in _STYLES] or ["plain"]
        if names == ["strong"]:
            names = ["plain", "strong"]
        if piece:
            spans.append(f'<tspan class="{" ".join(names)}">{escape(piece, quote=False)}</tspan>')
    return "".join(spans)


def _diff(found: re.Match[str]) -> str:
    names = {"+": "in", "-": "out", "!": "on"}
    lines = [
        f'<i class="{names.get(line[:1], "")}">{line}</i>' for line in found[1].rstrip().split("\n")
    ]
    return f"<pre>{''.join(lines)}</pre>"


def _height(html: str) -> int:
    """Return the height according to the style sheet; lines of a comment are never wrapped."""
    return (
        36 * html.count("<h3>")
        + 33 * html.count("<tr>")
        + 12 * html.count("<table>")
        + 21 * html.count("<li>")
        + 9 * html.count("<ul>")
        + 30 * html.count("<p>")
        + 30 * html.count("<summary>")
        + 30 * html.count("<pre>")
        + 18 * html.count("<i class")
    )


if __name__ == "__main__":
    for file, svg in pictures().items():
        (IMAGES / file).write_text(svg, encoding="utf-8")
