"""No secret is seen, whatever is run, whatever goes wrong and whoever looks."""

from __future__ import annotations

import base64
import io
import json
from itertools import combinations
from pathlib import Path
from urllib.parse import quote

import pytest

from reconciler.cli.main import run
from reconciler.cli.process import Process
from tests.nowhere import nowhere
from tests.secrecy import canaries as c
from tests.secrecy.canary_run import cases, leaks
from tests.secrecy.leaks import LEAKS, Leak, hunt
from tests.secrecy.pairwise import pairwise
from tests.secrecy.world import COMMANDS, FAULTS, INPUTS, world
from tests.skipping import SkippingClock


def test_no_canary_is_seen(tmp_path: Path) -> None:
    """Every command with every fault, file, format, verbosity and kind of output, pairwise."""
    chosen = cases()
    assert {each["command"] for each in chosen} == set(COMMANDS)
    assert {each.get("fault", "none") for each in chosen} == set(FAULTS)
    assert {each["input"] for each in chosen} == set(INPUTS)
    with world(tmp_path) as made:
        found = list(leaks(made, chosen))
        assert not found, "\n".join(found)
        # Runs of every kind were looked at: done, failed, invalid, denied, partly done, misused.
        assert {0, 1, 3, 4, 7, 64} <= set(made.codes)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_a_leak_is_found(leak: Leak, tmp_path: Path) -> None:
    """A copy of the package with a mistake in it is caught."""
    done = hunt(leak, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert leak.seen in done.stdout


class Broken(io.StringIO):
    """A stream that fails with a secret in its message."""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int = -1, /) -> str:
        raise RuntimeError(c.ENV_TOKEN.value)


def test_a_bug_does_not_tell_what_it_found(tmp_path: Path) -> None:
    """The text of an exception that nobody expected is not shown, only its type and place."""
    (tmp_path / "webhooks.yaml").write_text(
        "webhooks:\n- {name: A, type: slack, event_types: ['*'], "
        "configuration: {token: {env: T}, channel: c, username: u}}\n"
    )
    out, err = io.StringIO(), Broken()
    process = Process(
        environ={"T": c.ENV_TOKEN.value, "HOME": str(tmp_path)},
        directory=tmp_path,
        stdin=Broken(),
        stdout=out,
        stderr=err,
    )
    assert run(["apply", "--local", "--debug", "-vv"], process) == 70
    shown = out.getvalue() + err.getvalue()
    assert "RuntimeError at reconciler/cli/" in shown
    assert not list(c.find(shown.encode(), "output"))


@pytest.mark.parametrize(
    ("environ", "profiles", "key_file"),
    [
        ({"CLOUDTRUTH_API_KEY": f"{c.KEY.value}\nX-More: 1"}, None, None),
        ({"CLOUDTRUTH_API_KEY": f"{c.KEY.value} and more"}, None, None),
        ({"CLOUDTRUTH_API_KEY": f"{c.KEY.value}\u00fc"}, None, None),
        ({"CLOUDTRUTH_SERVER_URL": f"https://ann:{c.KEY.value}@127.0.0.1:9"}, None, None),
        ({"CLOUDTRUTH_SERVER_URL": f"https://127.0.0.1:9/?key={c.KEY.value}"}, None, None),
        ({"CLOUDTRUTH_SERVER_URL": f"http://other.example.com/{c.KEY.value}"}, None, None),
        ({"CLOUDTRUTH_REQUEST_TIMEOUT": "soon"}, None, None),
        ({}, f"profiles: {{default: {{api_key: {c.KEY.value}", None),
        ({}, f"profiles: {{default: {{api_key: [{c.KEY.value}]}}}}", None),
        ({}, f"profiles: {{default: {c.KEY.value}}}", None),
        ({}, f"{c.KEY.value}: {c.KEY.value}", None),
        ({}, f"profiles: {{default: {{server_url: 'ftp://{c.KEY.value}'}}}}", None),
        ({}, None, f"{c.KEY.value}\n{c.KEY.value}\n"),
        ({}, None, f"\ufeff{c.KEY.value}"),
    ],
)
def test_settings_do_not_tell_the_key(
    tmp_path: Path, environ: dict[str, str], profiles: str | None, key_file: str | None
) -> None:
    """However wrong key, profile or address are, the message does not repeat them."""
    (tmp_path / "webhooks.yaml").write_text("webhooks: []\n")
    arguments = ["plan", "-vv", "--debug"]
    if profiles is not None:
        folder = tmp_path / ".config" / "cloudtruth"
        folder.mkdir(parents=True)
        (folder / "cli.yml").write_text(profiles)
    if key_file is not None:
        (tmp_path / "key").write_text(key_file)
        arguments += ["--api-key-file", "key"]
    if not environ.get("CLOUDTRUTH_API_KEY") and profiles is None and key_file is None:
        environ = {"CLOUDTRUTH_API_KEY": c.KEY.value, **environ}
    out, err = io.StringIO(), io.StringIO()
    with nowhere() as url:
        process = Process(
            environ={"HOME": str(tmp_path), "CLOUDTRUTH_SERVER_URL": url, **environ},
            directory=tmp_path,
            stdin=io.StringIO(),
            stdout=out,
            stderr=err,
            clock=SkippingClock(),
        )
        assert run(arguments, process) in (1, 3, 4, 64)
    shown = out.getvalue() + err.getvalue()
    assert not list(c.find(shown.encode(), "output")), shown


def test_pairs_are_complete() -> None:
    """Every two values of two factors meet in some case, in far fewer cases than there could be."""
    factors = {"a": range(7), "b": range(5), "c": range(3), "d": "xy"}
    made = pairwise(factors)
    for one, two in combinations(factors, 2):
        met = {(case[one], case[two]) for case in made}
        assert met == {(a, b) for a in factors[one] for b in factors[two]}
    assert len(made) < 60


@pytest.mark.parametrize("wrapped", [
    lambda text: text,
    lambda text: json.dumps({"a": text}),
    lambda text: repr({"a": text}),
    lambda text: quote(text, safe=""),
    lambda text: text.encode().hex(),
    lambda text: base64.b64encode(f"{text}!".encode()).decode(),
    lambda text: base64.b64encode(f"u:{text}".encode()).decode(),
    lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode(),
    lambda text: text[3:-3],
    lambda text: text[::-1],
])  # fmt: skip
def test_every_form_is_found(wrapped) -> None:
    """A canary is recognised in whatever way it was written."""
    for each in c.CANARIES:
        hits = list(c.find(f"before {wrapped(each.core)} after".encode(), "here"))
        assert hits, each.place
    assert not list(c.find(b"nothing to see", "here"))
