"""Resolve the settings of a connection: server, API key and time limits, each with its source.

Precedence follows the CloudTruth CLI: argument, environment, profile, default. But if a profile
that a configuration file names has a server, only a key of that profile is sent there. Arguments,
environment, platform and directory are parameters, so the same call returns the same settings
anywhere. With `local` neither a key nor a profile is read. Unsafe servers and malformed keys are
rejected. Certificates are always verified; the CloudTruth CLI's setting to accept invalid ones is
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from reconciler.api import origin
from reconciler.errors import CredentialError, NoKeyError, UsageError
from reconciler.findings import is_word
from reconciler.model import Secret
from reconciler.source.files import MissingFileError, NotReadableError, read_regular
from reconciler.source.schemes import how_to_set
from reconciler.source.secrets import PLACEHOLDER, bare

_T = TypeVar("_T")

LOCAL_SERVER: Final = "http://emulator.localhost"
"""The URL of the emulator in this process. No real server has it, so its plans are distinct."""

_KEY_FILE_MAX: Final = 64 * 1024


class Setting(NamedTuple, Generic[_T]):
    """A value, and a description of its source."""

    value: _T
    source: str


_SET_KEY: Final = (
    "set CLOUDTRUTH_API_KEY, or pass --api-key-file or --profile (a CloudTruth CLI profile); "
    "several organizations need `api_key` in the file of each, which `export` and `init` do not "
    "read; --local needs no key"
)


class Settings(NamedTuple):
    """The settings of a connection.

    `timeout` is for one request, `deadline` for the whole run, both in seconds. `key` is None if
    there is none; `key_hint` is how to set one.
    """

    server_url: Setting[str]
    profile: Setting[str]
    key: Setting[Secret] | None
    timeout: Setting[float]
    deadline: Setting[float]
    key_hint: str = _SET_KEY

    @property
    def key_source(self) -> str | None:
        """Return the source of the API key, None without a key."""
        if self.key is None:
            return None
        return self.key.source

    def require_key(self) -> Secret:
        """Return the API key. Raises CredentialError with the ways to set one."""
        if self.key is None:
            raise NoKeyError("there is no CloudTruth API key", hint=self.key_hint)
        return self.key.value


class _Sources(NamedTuple):
    """Where settings are looked up: arguments, then the environment, then a profile."""

    arguments: Mapping[str, Any]
    environ: Mapping[str, str]
    profile: Mapping[str, Setting[str]] = MappingProxyType({})

    def find(self, name: str, variable: str, default: str, key: str = "") -> Setting[str]:
        """Return a setting; `key` is its name in profiles, if that is another one."""
        argument = self.arguments.get(name)
        if argument is not None:
            return Setting(str(argument), f"--{name.replace('_', '-')}")
        text = bare(self.environ.get(variable, ""))
        if text:
            return Setting(text, variable)
        return self.profile.get(key or name) or Setting(default, "default")


def resolve(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    platform: str,
    directory: Path,
    local: bool = False,
    file_profile: Setting[str] | None = None,
) -> Settings:
    """Resolve every setting.

    `arguments` may have `server_url`, `profile`, `api_key_file`, and `timeout` and `deadline` in
    seconds; `platform` is the value of `sys.platform`; files are relative to `directory`.
    `file_profile` is a profile that the configuration files name. Raises UsageError and
    CredentialError, the latter also for a key that does not belong to the server.
    """
    sources = _Sources(arguments, environ)
    if local:
        server = Setting(LOCAL_SERVER, "--local")
        return Settings(server, Setting("", ""), None, *_limits(sources), key_hint="")
    profile = sources.find("profile", "CLOUDTRUTH_PROFILE", _DEFAULT_PROFILE)
    # An option is about this run, so it is stronger than a file.
    if file_profile is not None and profile.source != "--profile":
        profile = file_profile
    values = _inherited(profile, _read_profiles(environ, platform))
    sources = sources._replace(profile=values)
    key_text = sources.find("api_key", "CLOUDTRUTH_API_KEY", "")
    key = _key(key_text, arguments.get("api_key_file"), environ, directory)
    url = sources.find("server_url", "CLOUDTRUTH_SERVER_URL", origin.DEFAULT_SERVER)
    server = _server_url(url)
    has_own_server = profile is file_profile and server.source.startswith(_PROFILE)
    if has_own_server:
        _require_own_key(key, server, profile, values.get("api_key"))
    key_hint = _key_hint(environ, has_own_server=has_own_server)
    return Settings(server, profile, key, *_limits(sources), key_hint)


def _limits(sources: _Sources) -> tuple[Setting[float], Setting[float]]:
    """Return the time limits of one request and of the run."""
    seconds = str(origin.DEFAULT_TIMEOUT)
    timeout = sources.find("timeout", "CLOUDTRUTH_REQUEST_TIMEOUT", seconds, "request_timeout")
    # Without a variable: how long a run may take depends on the run.
    deadline = sources.find("deadline", "", str(origin.DEFAULT_DEADLINE))
    return _seconds(timeout), _seconds(deadline)


def profile_key(name: str, environ: Mapping[str, str], platform: str) -> Secret | None:
    """Return the API key of a profile, if any, also if other settings of the profile are invalid.

    Raises UsageError and CredentialError.
    """
    values = _inherited(Setting(name, ""), _read_profiles(environ, platform))
    text = values.get("api_key", Setting("", ""))
    key = _key(text, None, {}, Path())
    return None if key is None else key.value


def _key_hint(environ: Mapping[str, str], *, has_own_server: bool) -> str:
    """Return how to set the API key; `has_own_server` as for `_require_own_key`."""
    if has_own_server:
        return (
            "set `api_key` in the profile in CloudTruth's cli.yml: the server of a profile that a "
            "file names receives no other key, unless you also pass --server-url"
        )
    # `cloudtruth run` sets both for the command that it starts.
    if environ.get("CLOUDTRUTH_ENVIRONMENT") and environ.get("CLOUDTRUTH_PROJECT"):
        return (
            "`cloudtruth run` removes CLOUDTRUTH_API_KEY and CLOUDTRUTH_SERVER_URL: use "
            "`cloudtruth run --permissive`"
        )
    # The workflows on GitHub pass it.
    if environ.get("WEBHOOKS_ENVIRONMENT"):
        return how_to_set("CLOUDTRUTH_API_KEY", environ)
    return _SET_KEY


def _require_own_key(
    key: Setting[Secret] | None,
    server: Setting[str],
    profile: Setting[str],
    own: Setting[str] | None,
) -> None:
    """Raise CredentialError if another key than that of the profile would be sent to its server.

    Whoever edits a file could otherwise send the key of this run to the server of any profile.
    """
    if key is None or key.source.startswith(_PROFILE):
        return
    if own is None or key.value != Secret(own.value):
        use_own = f"remove {key.source} to use the key of {server.source}"
        if own is None or not own.value:
            use_own = f"set `api_key` in {server.source} of CloudTruth's cli.yml"
        raise CredentialError(
            f"the API key from {key.source} is not sent to the server of {server.source}, which "
            f"the {profile.source} selects",
            hint=f"{use_own}, or set the server with --server-url or CLOUDTRUTH_SERVER_URL",
        )


def _server_url(setting: Setting[str]) -> Setting[str]:
    """Return the server URL without a trailing slash. Raises UsageError for an unsafe one."""
    url, source = setting.value.rstrip("/"), setting.source
    what = f"the server URL from {source}"
    if origin.Origin.parse(url, what).base.endswith(("/api", "/api/v1")):
        raise UsageError(
            f"{what} contains the path of the API",
            hint=f"use only scheme and host, such as {origin.DEFAULT_SERVER}",
        )
    return Setting(url, source)


def _key(
    setting: Setting[str], file: str | None, environ: Mapping[str, str], directory: Path
) -> Setting[Secret] | None:
    """Return the API key from `file`, else from `setting`. An empty file is an error.

    WEBHOOKS_API_KEY_FILE comes after a key in the environment and before one in a profile. Raises
    CredentialError for a key that cannot be sent in a header; the message does not contain it.
    """
    source = "--api-key-file"
    if file is None and setting.source != "CLOUDTRUTH_API_KEY":
        file, source = environ.get("WEBHOOKS_API_KEY_FILE") or None, "WEBHOOKS_API_KEY_FILE"
    if file is not None:
        setting = _read_key(directory / file, source)
    if not setting.value:
        return None
    text, what = setting.value, f"API key from {setting.source}"
    # Some programs that read files of variables keep the quotes of a value.
    if PLACEHOLDER.fullmatch(text) or (text[:1] in ("'", '"') and text[-1] == text[0]):
        raise CredentialError(
            f"the {what} is a placeholder, or in quotes",
            hint="check the step that writes the variable or the file; remove quotes",
        )
    secret = origin.Credential.api_key(Secret(text), what).secret
    return Setting(secret, setting.source)


def _read_key(path: Path, source: str) -> Setting[str]:
    hint = "use a file that contains only the API key"
    try:
        with path.open("rb") as file:  # not `read_regular`: the path may be a pipe
            data = file.read(_KEY_FILE_MAX + 1)
    except OSError as cause:
        why = f"the file named by {source} cannot be read ({cause.strerror})"
        raise CredentialError(why, hint=hint) from None
    text = bare(data.decode(errors="replace"))
    if not text or len(data) > _KEY_FILE_MAX:
        raise CredentialError(f"the file named by {source} is empty or too large", hint=hint)
    return Setting(text, source)


def _seconds(setting: Setting[str]) -> Setting[float]:
    with suppress(ValueError):
        seconds = float(setting.value)
        # False for NaN, too.
        if 0 < seconds <= 86_400:
            return Setting(seconds, setting.source)
    raise UsageError(
        f"the time limit from {setting.source} must be more than 0 and at most 86400 seconds",
        hint="write a number such as 60",
    )


# Profiles of the CloudTruth CLI

_PROFILE: Final = "profile "
"""The start of the source of a value from a profile."""

_DEFAULT_PROFILE: Final = "default"
_NULL: Final = "tag:yaml.org,2002:null"


def _profile_file(environ: Mapping[str, str], platform: str) -> Path | None:
    """Return the path of `cli.yml` on this platform; None if the environment does not define it."""
    configured = environ.get("XDG_CONFIG_HOME", "")
    base, rest = environ.get("HOME"), ".config/cloudtruth"
    if platform == "win32":
        base, rest = environ.get("APPDATA"), "CloudTruth/CloudTruth CLI/config"
    elif platform == "darwin":
        rest = "Library/Application Support/com.cloudtruth.CloudTruth-CLI"
    # The XDG specification calls a relative path invalid.
    elif configured.startswith("/"):
        base, rest = configured, "cloudtruth"
    if not base:
        return None
    return Path(base, rest, "cli.yml")


def _inherited(
    chosen: Setting[str], profiles: Mapping[str, Mapping[str, str]]
) -> dict[str, Setting[str]]:
    """Return the values of a profile and of those it inherits from, by key.

    It inherits from its `source_profile`, and finally from `default`, which may be missing.
    """
    inherited: dict[str, Setting[str]] = {}
    seen: list[str] = []
    name, source = chosen.value, chosen.source
    while True:
        if name in seen:
            raise UsageError(
                f"the source_profile chain of {seen[-1]!r} loops back to {name!r}",
                hint="correct it in CloudTruth's cli.yml",
            )
        if name not in profiles and name != _DEFAULT_PROFILE:
            known = ", ".join(sorted(profiles)) or "none"
            shown = repr(name) if is_word(name) else "of this name"  # it may be an API key
            raise UsageError(
                f"there is no profile {shown} (from {source})",
                hint=f"profiles in CloudTruth's cli.yml: {known}",
            )
        seen.append(name)
        values = profiles.get(name, {})
        for key, text in values.items():
            # The nearest profile wins, so what is set stays.
            inherited.setdefault(key, Setting(bare(text), f"{_PROFILE}{name}"))
        source = f"source_profile of {name!r}"
        last = "" if _DEFAULT_PROFILE in seen else _DEFAULT_PROFILE
        name = values.get("source_profile", last)
        if not name:
            return inherited


def _read_profiles(environ: Mapping[str, str], platform: str) -> dict[str, dict[str, str]]:
    """Return the values that each profile sets, all as text.

    An empty text is not set, except for an API key: the profile then has none, not that of the
    profile from which it inherits.
    """
    file = _profile_file(environ, platform)
    if file is None:
        return {}
    import yaml

    # A key or a name such as `1e5` or `on` must stay text.
    class Loader(yaml.BaseLoader):
        """A loader that returns None for null, and text for every other scalar."""

    Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL)?$"), ["~", "n", "N", ""])
    Loader.add_constructor(_NULL, lambda loader, node: None)
    try:
        tree = yaml.load(read_regular(file, limit=1024 * 1024), Loader=Loader)  # noqa: S506 - only creates text
        # An empty file has no profiles; any other tree that is no mapping fails below.
        listed = tree.get("profiles") if isinstance(tree, dict) else tree
        profiles: dict[str, dict[str, str]] = {}
        for name, values in (listed or {}).items():
            profiles[name] = _set_texts(values or {})
        return profiles
    except MissingFileError:
        return {}
    except NotReadableError as error:
        raise UsageError(
            f"CloudTruth's cli.yml cannot be read: it {error}",
            hint="check the file and its permissions",
        ) from None
    except (AttributeError, yaml.YAMLError, ValueError, RecursionError):
        # The library's message would quote the file, which contains keys.
        raise UsageError(
            "CloudTruth's cli.yml is not a list of profiles",
            hint="correct it: `cloudtruth configuration profiles list` reads the same file",
        ) from None


def _set_texts(values: Mapping[str, Any]) -> dict[str, str]:
    texts = {key: text.strip() for key, text in values.items() if isinstance(text, str)}
    return {key: text for key, text in texts.items() if text or key == "api_key"}
