"""The source of each setting, and invalid values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.options import CONNECTION_OPTIONS
from reconciler.errors import CredentialError, UsageError
from reconciler.settings import Setting, Settings, resolve
from tests.folders import write
from tests.goldens import cases, rows

KEY = "key-0123456789"


def settings(
    directory: Path,
    environ: Mapping[str, str] | None = None,
    *,
    profiles: str | None = None,
    file_profile: Setting[str] | None = None,
    **arguments: object,
) -> Settings:
    """Resolve with `directory` as home and working directory."""
    if profiles is not None:
        write(directory, {".config/cloudtruth/cli.yml": profiles})
    return resolve(
        arguments,
        {"HOME": str(directory), **(environ or {})},
        platform="linux",
        directory=directory,
        file_profile=file_profile,
    )


TEXTS = cases(Path(__file__).with_name("settings.txt"))
PROFILES = TEXTS["profiles"][0].replace("THE_KEY", KEY)


@pytest.mark.parametrize(
    ("environ", "arguments", "expected"), rows(Path(__file__).with_name("precedence.yaml"))
)
def test_precedence(
    tmp_path: Path, environ: dict[str, str], arguments: dict[str, object], expected: Any
) -> None:
    """An option overrides the environment, then the profiles of the chain, then the default."""
    found = settings(tmp_path, environ, profiles=PROFILES, **arguments)
    shown = (found.server_url, found.timeout, found.profile)
    assert [*(f"{each.value}: {each.source}" for each in shown), found.key_source] == expected
    assert KEY not in repr(found)


KEYED = TEXTS["profiles with keys"][0]


@pytest.mark.parametrize(
    ("named", "environ", "arguments", "source"), rows(Path(__file__).with_name("servers.yaml"))
)
def test_a_server_that_a_file_selects_gets_its_key(
    tmp_path: Path, named: str, environ: dict[str, str], arguments: Any, source: str | None
) -> None:
    """Another key is used only for a server that the file does not select."""
    profile = Setting(value=named, source="profile in webhooks.yaml")
    found = settings(tmp_path, environ, profiles=KEYED, file_profile=profile, **arguments)
    assert found.key_source == source


def test_every_variable_of_an_option_is_read(tmp_path: Path) -> None:
    """The help announces it, and the settings take it as their value."""
    (tmp_path / "1").write_text(KEY)
    settled = {"api_key_file", *Settings._fields}
    options = [option for option in CONNECTION_OPTIONS if option.envvar and option.name in settled]
    assert options
    for option in options:
        value = "https://1.example.com" if option.name == "server_url" else "1"
        read = settings(tmp_path, {str(option.envvar): value}, profiles='profiles: {"1": {}}')
        assert option.envvar in [getattr(setting, "source", "") for setting in read], option.name


def test_defaults(tmp_path: Path) -> None:
    """A missing key is an error only if one is needed; `cloudtruth run` has another hint."""
    found = settings(tmp_path)
    assert (found.timeout.value, found.deadline.value, found.key) == (30, 600, None)
    both = {"CLOUDTRUTH_ENVIRONMENT": "production", "CLOUDTRUTH_PROJECT": "notifications"}
    for environ, hint in (({}, "set CLOUDTRUTH_API_KEY"), (both, "cloudtruth run --permissive")):
        with pytest.raises(CredentialError, match="API key") as caught:
            settings(tmp_path, environ).require_key()
        assert hint in str(caught.value.hint)


def test_key_file(tmp_path: Path) -> None:
    """The path is relative to the directory; a newline and a byte order mark are removed.

    An option overrides a key in the environment, which overrides a file that a variable has.
    """
    (tmp_path / "key").write_bytes(f"{KEY}\r\n".encode("utf-8-sig"))
    found = settings(tmp_path, {"CLOUDTRUTH_API_KEY": "other"}, api_key_file="key")
    assert (found.require_key().reveal(), found.key_source) == (KEY, "--api-key-file")
    named = {"WEBHOOKS_API_KEY_FILE": "key"}
    assert settings(tmp_path, named).key_source == "WEBHOOKS_API_KEY_FILE"
    both = settings(tmp_path, {**named, "CLOUDTRUTH_API_KEY": "other"})
    assert both.key_source == "CLOUDTRUTH_API_KEY"


# Profiles of CloudTruth's command line


@pytest.mark.parametrize(
    ("platform", "environ", "path"), rows(Path(__file__).with_name("platforms.yaml"))
)
def test_the_file_of_each_platform(
    tmp_path: Path, platform: str, environ: dict[str, str], path: str
) -> None:
    """Each platform has a different path; without a home there is no file."""
    write(tmp_path, {path: "profiles: {default: {api_key: found}}"})
    homes = {name: value.format(tmp_path) for name, value in environ.items()}
    found = resolve({}, homes, platform=platform, directory=tmp_path)
    assert found.key_source == "profile default"
    assert resolve({}, {}, platform=platform, directory=tmp_path).key is None


@pytest.mark.parametrize(
    "text",
    ["", "profiles:", "updates: {check: true}", "profiles: {a: {api_key: x}}",
     "profiles: {default: ~}"],
)  # fmt: skip
def test_a_missing_default_profile_is_empty(tmp_path: Path, text: str) -> None:
    """A default profile that does not exist is not an error, even if it is requested by name."""
    for _ in range(2):
        assert settings(tmp_path, profiles=text).key is None
        assert settings(tmp_path, profile="default").key is None
        (tmp_path / ".config/cloudtruth/cli.yml").unlink()


def test_a_broken_file_of_profiles_is_not_in_the_cause(tmp_path: Path) -> None:
    """The error of the parser, which quotes the file, is not part of the error."""
    with pytest.raises(UsageError, match="not a list of profiles") as caught:
        settings(tmp_path, profiles="profiles: {default: {api_key: 'hunter2")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
