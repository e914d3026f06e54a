"""The source of each setting, and refused values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import CredentialError, UsageError
from reconciler.settings import Settings, resolve

KEY = "key-0123456789"


def settings(
    directory: Path,
    environ: Mapping[str, str] | None = None,
    *,
    profiles: str | None = None,
    local: bool = False,
    **arguments: object,
) -> Settings:
    """Resolve with `directory` as home and working directory."""
    if profiles is not None:
        file = directory / ".config/cloudtruth/cli.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(profiles)
    return resolve(
        arguments,
        {"HOME": str(directory), **(environ or {})},
        platform="linux",
        directory=directory,
        local=local,
    )


PROFILES = f"""
profiles:
  default: {{api_key: default-key, request_timeout: 50}}
  prod: {{api_key: {KEY}, server_url: "https://prod.example.com/", source_profile: base}}
  base: {{api_key: base-key, request_timeout: 40, project: {{x: y}}}}
  empty: {{api_key: "", server_url: ~}}
"""
NOWHERE = {"CLOUDTRUTH_PROFILE": "nowhere", "CLOUDTRUTH_API_KEY": f"{KEY}\n"}
PUBLIC = "https://api.cloudtruth.io: default"


@pytest.mark.parametrize(
    ("environ", "arguments", "expected"),
    [
        ({}, {}, (PUBLIC, "50.0: profile default", "default: default", "profile default")),
        (
            {"CLOUDTRUTH_PROFILE": "prod", "CLOUDTRUTH_SERVER_URL": "https://env.example.com"},
            {"server_url": "https://arg.example.com", "timeout": 5.0},
            ("https://arg.example.com: --server-url", "5.0: --timeout",
             "prod: CLOUDTRUTH_PROFILE", "profile prod"),
        ),
        (
            NOWHERE,
            {"profile": "prod"},
            ("https://prod.example.com: profile prod", "40.0: profile base",
             "prod: --profile", "CLOUDTRUTH_API_KEY"),
        ),
        # an empty variable or value does not hide that of the next profile
        (
            {"CLOUDTRUTH_API_KEY": " \n"},
            {"profile": "empty"},
            (PUBLIC, "50.0: profile default", "empty: --profile", "profile default"),
        ),
    ],
)  # fmt: skip
def test_precedence(
    tmp_path: Path, environ: dict[str, str], arguments: dict[str, object], expected: Any
) -> None:
    """An option overrides the environment, then the profiles of the chain, then the default."""
    found = settings(tmp_path, environ, profiles=PROFILES, **arguments)
    shown = (found.server_url, found.timeout, found.profile)
    assert (*(f"{each.value}: {each.source}" for each in shown), found.key_source) == expected
    assert KEY not in repr(found)


def test_defaults(tmp_path: Path) -> None:
    """A missing key is an error only if one is needed."""
    found = settings(tmp_path)
    assert (found.timeout.value, found.deadline.value, found.key) == (30, 600, None)
    with pytest.raises(CredentialError, match="no CloudTruth API key"):
        found.require_key()


def test_local_reads_no_key(tmp_path: Path) -> None:
    """With `--local`, key and profile are ignored, even invalid ones."""
    environ = {"CLOUDTRUTH_API_KEY": "not a key", "CLOUDTRUTH_PROFILE": "nowhere"}
    found = settings(tmp_path, environ, profiles="[", local=True, api_key_file="missing")
    assert found.key is None
    assert found.local


def test_key_file(tmp_path: Path) -> None:
    """It is relative to the directory; the line end and the byte order mark are removed.

    An option overrides a key in the environment, which overrides a file named there.
    """
    (tmp_path / "key").write_bytes(f"{KEY}\r\n".encode("utf-8-sig"))
    found = settings(tmp_path, {"CLOUDTRUTH_API_KEY": "other"}, api_key_file="key")
    assert (found.require_key().reveal(), found.key_source) == (KEY, "--api-key-file")
    named = {"WEBHOOKS_API_KEY_FILE": "key"}
    assert settings(tmp_path, named).key_source == "WEBHOOKS_API_KEY_FILE"
    both = settings(tmp_path, {**named, "CLOUDTRUTH_API_KEY": "other"})
    assert both.key_source == "CLOUDTRUTH_API_KEY"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"x" * 70_000, "too large"), (b"a b", "spaces"), (b"\xff\xfe", "spaces")],
)
def test_invalid_key_files(tmp_path: Path, content: bytes, message: str) -> None:
    """A file without a key is refused without showing its content."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(CredentialError, match=message) as caught:
        settings(tmp_path, api_key_file="key")
    shown = f"{caught.value} {caught.value.hint}"
    assert not content or content.decode("utf-8", "replace") not in shown
    for name, why in (("missing", "No such file"), (".", "Is a directory")):
        with pytest.raises(CredentialError, match=why):
            settings(tmp_path, api_key_file=name)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ('"hunter2hunter2"', "is in quotes"),
        ("'hunter2hunter2'", "is in quotes"),
        ("$CLOUDTRUTH_KEY", "is a placeholder"),
        ("${hunter2}", "is a placeholder"),
        ("<your-key>", "is a placeholder"),
        ("********", "is a placeholder"),
        ("two words", "contains spaces"),
        ("line\nbreak", "contains spaces"),
        ("schl\xfcssel", "contains spaces"),
        ("nul\0", "contains spaces"),
    ],
)
def test_invalid_keys_are_not_shown(tmp_path: Path, key: str, message: str) -> None:
    """Quotes and placeholders are named as the error."""
    with pytest.raises(CredentialError, match=message) as caught:
        settings(tmp_path, {"CLOUDTRUTH_API_KEY": key})
    assert caught.value.hint
    assert key not in f"{caught.value} {caught.value.hint}"
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "url",
    ["https://ct.example.com:8443", "http://127.1.2.3:80", "https://proxy.example.com/cloudtruth"],
)
def test_valid_servers(tmp_path: Path, url: str) -> None:
    """https anywhere and http on this machine; trailing slashes are removed."""
    found = settings(tmp_path, {"CLOUDTRUTH_SERVER_URL": f"{url}/"})
    assert found.server_url.value == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("api.cloudtruth.io", "not an absolute https URL"),
        ("http://ct.example.com", "plain http"),
        ("https://me:hunter2@ct.example.com", "user name"),
        ("https://ct.example.com/api/v1", "contains the path of the API"),
        ("https://ct.example.com/proxied/api", "contains the path of the API"),
    ],
)
def test_invalid_servers(tmp_path: Path, url: str, message: str) -> None:
    """A server that must not get a key is refused with its source; its URL is not repeated."""
    with pytest.raises(UsageError, match=message) as caught:
        settings(tmp_path, server_url=url)
    assert "from --server-url" in str(caught.value)
    assert caught.value.hint
    assert url not in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", "1e9", "86400.5"])
def test_invalid_timeouts(tmp_path: Path, seconds: str) -> None:
    """Anything but a number of seconds up to a day is refused, with its source."""
    assert settings(tmp_path, {"WEBHOOKS_DEADLINE": "86400"}).deadline.value == 86_400
    with pytest.raises(UsageError, match="CLOUDTRUTH_REQUEST_TIMEOUT"):
        settings(tmp_path, {"CLOUDTRUTH_REQUEST_TIMEOUT": seconds})
    with pytest.raises(UsageError, match="WEBHOOKS_DEADLINE"):
        settings(tmp_path, {"WEBHOOKS_DEADLINE": seconds})


# Profiles of CloudTruth's command line


@pytest.mark.parametrize(
    ("platform", "environ", "path"),
    [
        ("linux", {"HOME": "{}"}, ".config/cloudtruth/cli.yml"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "{}"}, "cloudtruth/cli.yml"),
        ("linux", {"HOME": "{}", "XDG_CONFIG_HOME": "rel"}, ".config/cloudtruth/cli.yml"),
        ("darwin", {"HOME": "{}", "XDG_CONFIG_HOME": "/c"},
         "Library/Application Support/com.cloudtruth.CloudTruth-CLI/cli.yml"),
        ("win32", {"APPDATA": "{}"}, "CloudTruth/CloudTruth CLI/config/cli.yml"),
    ],
)  # fmt: skip
def test_the_file_of_each_platform(
    tmp_path: Path, platform: str, environ: dict[str, str], path: str
) -> None:
    """Each platform has its own place; without a home there is no file."""
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("profiles: {default: {api_key: found}}")
    homes = {name: value.format(tmp_path) for name, value in environ.items()}
    found = resolve({}, homes, platform=platform, directory=tmp_path)
    assert found.key_source == "profile default"
    assert resolve({}, {}, platform=platform, directory=tmp_path).key is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profiles: {a: {source_profile: a}}", "loops back to 'a'"),
        ("profiles: {a: {source_profile: b}, b: {source_profile: a}}", "loops back to 'a'"),
        ("profiles: {a: {source_profile: gone}}", r"no profile 'gone' \(from source_profile"),
        ("profiles: {b: {}}", r"no profile 'a' \(from --profile\)"),
        ("profiles: [a]", "not a list of profiles"),
        ("profiles: {a: [1]}", "not a list of profiles"),
        ("profiles: {default: {api_key: 'hunter2hunter2", "not a list of profiles"),
        ("- a", "not a list of profiles"),
        ("#" * 1_100_000, "cannot be read: it is larger than 1 MiB"),
        ("[" * 5000, "not a list of profiles"),
    ],
)
def test_profile_errors(tmp_path: Path, text: str, message: str) -> None:
    """A circular chain, a missing profile and a broken file each have their error, without text."""
    with pytest.raises(UsageError, match=message) as caught:
        settings(tmp_path, profiles=text, profile="a")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__suppress_context__ or "list of" not in message


@pytest.mark.parametrize(
    "text",
    ["", "profiles:", "updates: {check: true}", "profiles: {a: {api_key: x}}",
     "profiles: {default: ~}"],
)  # fmt: skip
def test_a_missing_default_profile_is_empty(tmp_path: Path, text: str) -> None:
    """Requesting it by name makes no difference, with or without a file."""
    for _ in range(2):
        assert settings(tmp_path, profiles=text).key is None
        assert settings(tmp_path, profile="default").key is None
        (tmp_path / ".config/cloudtruth/cli.yml").unlink()


def test_a_named_profile_needs_a_file(tmp_path: Path) -> None:
    """Without a file it is an error; a file that cannot be read always is."""
    with pytest.raises(UsageError, match=r"no profile 'x' \(from CLOUDTRUTH_PROFILE\)"):
        settings(tmp_path, {"CLOUDTRUTH_PROFILE": "x"})
    (tmp_path / ".config/cloudtruth/cli.yml").mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot be read"):
        settings(tmp_path)
