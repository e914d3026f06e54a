"""The cases of docs/organizations.md, in merging.txt: files, and what they declare.

`org.yaml` is the selected file, or with `all` in the first line each of them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.source.load import configurations, parse_files
from reconciler.source.writer import yaml_text
from reconciler.workflow.inputs import Inputs, organizations, validate
from tests.folders import ROOT
from tests.goldens import Golden
from tests.loading import sources
from tests.source.test_findings import cases, check, format_findings


def outcome(text: str) -> str:
    """Return the findings and the configurations of the files of a case."""
    first, *parts = re.split(r"^==== (.*)\n", text, flags=re.MULTILINE)
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    selected = list(texts) if first else ["org.yaml"]
    parsed = parse_files(sources(texts, *selected))
    groups = organizations(Inputs(Path(), {}, bytes, parsed=parsed))
    loaded = [validate(group.inputs) for group in groups]
    findings = dict.fromkeys(finding for each in loaded for finding in each.findings)
    rendered = "".join(
        f"---- {file}\n{yaml_text(data)}"
        for each in loaded
        if each.desired is not None
        for file, data in configurations(each.desired).items()
    )
    return format_findings(findings) + rendered


@pytest.mark.parametrize("title", cases("merging.txt"))
def test_what_layers_declare(title: str, golden: Golden) -> None:
    """Each case has the documented result."""
    check("merging.txt", title, outcome(cases("merging.txt")[title][0]), golden)


def test_each_documented_case_has_a_golden_result() -> None:
    """Each row of the tables is the title of a case, in the same order."""
    page = (ROOT / "docs/organizations.md").read_text("utf-8")
    tables = re.findall(r"^\| case \| .*\n\|---.*\n((?:\|.*\n)+)", page, flags=re.MULTILINE)
    rows = [
        row.split(" | ")[0].removeprefix("| ") for table in tables for row in table.splitlines()
    ]
    assert len(rows) >= 6
    assert rows == [title for title in cases("merging.txt") if title in rows]
