"""The file of CloudTruth's CLI: its place, inheritance of profiles, errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import UsageError
from reconciler.settings.profiles import load_profile, profile_file


@pytest.mark.parametrize(
    ("platform", "environ", "path"),
    [
        ("linux", {"HOME": "/h"}, "/h/.config/cloudtruth/cli.yml"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/c"}, "/c/cloudtruth/cli.yml"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "rel"}, "/h/.config/cloudtruth/cli.yml"),
        (
            "darwin",
            {"HOME": "/h", "XDG_CONFIG_HOME": "/c"},
            "/h/Library/Application Support/com.cloudtruth.CloudTruth-CLI/cli.yml",
        ),
        ("win32", {"APPDATA": "/a"}, "/a/CloudTruth/CloudTruth CLI/config/cli.yml"),
    ],
)
def test_place_of_the_file(platform: str, environ: dict[str, str], path: str) -> None:
    """Each platform has its own place."""
    assert profile_file(environ, platform) == Path(path)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_without_a_home_there_is_no_file(platform: str) -> None:
    """The default profile is empty."""
    assert profile_file({}, platform) is None
    assert load_profile(None, {}, platform=platform).get("api_key") is None


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose configuration is in `tmp_path`."""
    (tmp_path / "cloudtruth").mkdir()
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def write(environ: dict[str, str], text: str) -> None:
    Path(environ["XDG_CONFIG_HOME"], "cloudtruth/cli.yml").write_text(text)


def test_inheritance_ends_at_default(environ: dict[str, str]) -> None:
    """A value is looked up along the chain, and finally in the default profile."""
    write(
        environ,
        "profiles:\n"
        "  default: {api_key: d, server_url: s, rest_page_size: 5}\n"
        "  a: {source_profile: b, api_key: a}\n"
        "  b: {server_url: 0755, accept_invalid_certs: false, project: {x: y}}\n",
    )
    found = load_profile("a", environ, platform="linux")
    assert found.get("api_key") == ("a", "profile a")
    assert found.get("server_url") == ("0755", "profile b")
    assert found.get("rest_page_size") == ("5", "profile default")
    assert found.get("request_timeout") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profiles: {a: {source_profile: a}}", "leads back to 'a'"),
        ("profiles: {a: {source_profile: b}, b: {source_profile: a}}", "leads back to 'a'"),
        ("profiles: {a: {source_profile: gone}}", r"no profile 'gone' \(from source_profile"),
        ("profiles: {a: {source_profile: default}}", "no profile 'default'"),
        ("profiles: {b: {}}", r"no profile 'a' \(from --profile\)"),
        ("profiles: [a]", "not a list of profiles"),
        ("profiles: {a: [1]}", "not a list of profiles"),
        ("profiles: {a: {", "not a list of profiles"),
        ("- a", "not a list of profiles"),
        ("#" * 1_100_000, "not a list of profiles"),
        ("[" * 5000, "not a list of profiles"),
    ],
)
def test_profile_errors(environ: dict[str, str], text: str, message: str) -> None:
    """A circular chain, a missing profile and a broken file each have their error."""
    write(environ, text)
    with pytest.raises(UsageError, match=message):
        load_profile("a", environ, platform="linux")


def test_a_missing_default_profile_is_empty(environ: dict[str, str]) -> None:
    """A file without profiles, or without the default one, is valid."""
    for text in ("", "profiles:", "updates: {check: true}", "profiles: {a: {api_key: x}}"):
        write(environ, text)
        assert load_profile(None, environ, platform="linux").get("api_key") is None


def test_the_default_profile_may_be_missing_when_requested(environ: dict[str, str]) -> None:
    """Naming it explicitly makes no difference."""
    write(environ, "profiles: {a: {}}")
    assert load_profile("default", environ, platform="linux").get("api_key") is None
    Path(environ["XDG_CONFIG_HOME"], "cloudtruth/cli.yml").unlink()
    assert load_profile("default", environ, platform="linux").get("api_key") is None


def test_a_named_profile_needs_a_file(environ: dict[str, str]) -> None:
    """Without a file it is an error."""
    with pytest.raises(UsageError, match=r"no profile 'x' \(from CLOUDTRUTH_PROFILE\)"):
        load_profile(None, environ | {"CLOUDTRUTH_PROFILE": "x"}, platform="linux")


def test_an_unreadable_file_is_an_error(environ: dict[str, str]) -> None:
    """The error names the path."""
    Path(environ["XDG_CONFIG_HOME"], "cloudtruth/cli.yml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        load_profile(None, environ, platform="linux")


def test_an_error_does_not_quote_the_file(environ: dict[str, str]) -> None:
    """The message about a broken file shows none of its content."""
    write(environ, "profiles: {default: {api_key: 'hunter2hunter2")
    with pytest.raises(UsageError) as caught:
        load_profile(None, environ, platform="linux")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__suppress_context__
