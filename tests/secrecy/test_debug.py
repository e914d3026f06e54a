"""Requests in the output of `--debug`."""

from __future__ import annotations

import re

from tests.cli.conftest import File, MakeCloud, Shell, expect
from tests.emulated.faults import Script, status

LINE = re.compile(
    r"(GET|POST|PATCH|DELETE) (/api/[A-Za-z0-9/-]*) (\d{3}|no answer) (\d+) ms (\d+) B"
    r"(?: attempt (\d+))?"
)


def test_debug_shows_no_content_of_requests(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A request shows method, path, status, time and size, but no header, body or query.

    Settings, which `-v` shows, do not include the key.
    """
    faults = Script()
    faults.add(status(503), method="GET", path="/api/v1/webhooks/")
    there = cloud(faults=faults, cookies=["sessionid=hunter2cookie; Path=/"])
    file()
    quiet = shell("plan", "-v", **there.environ)
    settings = ("server URL: http://127.0.0.1:", "key: *** (from CLOUDTRUTH_API_KEY)")
    expect(quiet, 0, *settings, without=(there.environ["CLOUDTRUTH_API_KEY"],))
    faults.add(status(503), method="GET", path="/api/v1/webhooks/")
    done = shell("apply", "--yes", "--debug", **there.environ)
    expect(done, 0, without=(there.environ["CLOUDTRUTH_API_KEY"],))
    lines = [each for each in done.err.splitlines() if "/api/" in each]
    shown = [each.groups() for each in map(LINE.fullmatch, lines) if each]
    assert len(shown) == len(lines), lines
    assert ("POST", "/api/v1/webhooks/", "201") in {each[:3] for each in shown}
    assert [each[5] for each in shown if each[2] == "503"] == [None]
    assert "2" in {each[5] for each in shown}
    assert all(int(each[4]) > 0 for each in shown)
    assert "/api/" not in quiet.err
