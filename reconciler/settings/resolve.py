"""Resolve the settings of a connection: server, API key and time limits, each with its source.

The precedence is that of CloudTruth's command line: argument, environment, profile, default.
Arguments, environment, platform and directory are parameters, so the same call returns the same
settings anywhere. With `local` neither a key nor a profile is read. Unsafe servers, malformed keys,
and disabled certificate checks are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from reconciler.errors import CredentialError, UsageError
from reconciler.model import Secret
from reconciler.settings.profiles import Profile, load_profile
from reconciler.source.secrets import PLACEHOLDER, bare

T = TypeVar("T")

DEFAULT_SERVER: Final = "https://api.cloudtruth.io"
LOCAL_SERVER: Final = "http://emulator.localhost"
"""The server name of the emulator in this process, so that its plans differ from real ones."""
DEFAULT_TIMEOUT: Final = 30.0
DEFAULT_DEADLINE: Final = 600.0

_SOURCES: Final = {
    "server_url": ("CLOUDTRUTH_SERVER_URL", "server_url"),
    "api_key": ("CLOUDTRUTH_API_KEY", "api_key"),
    "timeout": ("CLOUDTRUTH_REQUEST_TIMEOUT", "request_timeout"),
    "deadline": ("WEBHOOKS_DEADLINE", None),
    "accept_invalid_certs": ("CLOUDTRUTH_ACCEPT_INVALID_CERTS", "accept_invalid_certs"),
}
"""The variable of a setting, and its name in a profile. An argument has the name of the setting."""

_KEY_FILE_MAX: Final = 64 * 1024
_KEY_SHAPE: Final = re.compile(r"[\x21-\x7e]+")
_QUOTES: Final = ("'", '"')
_LOOPBACK: Final = re.compile(r"(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T]):
    """A value, and a description of its source."""

    value: T
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a connection.



    `timeout` is for one request, `deadline` for the whole run, both in seconds. `key` is None if
    there is none.
    """

    server_url: Setting[str]
    profile: Setting[str]
    key: Setting[Secret] | None
    timeout: Setting[float]
    deadline: Setting[float]
    local: bool = False

    @property
    def key_source(self) -> str | None:
        """Return the source of the API key, None without a key."""
        return None if self.key is None else self.key.source

    def require_key(self) -> Secret:
        """Return the API key. Raises CredentialError with the ways to set one."""
        if self.key is None:
            raise CredentialError(
                "there is no CloudTruth API key",
                hint="set CLOUDTRUTH_API_KEY, or name a file with --api-key-file, or a profile of "
                "CloudTruth's command line with --profile; --local needs no key",
            )
        return self.key.value


def resolve(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    platform: str,
    directory: Path,
    local: bool = False,
) -> Settings:
    """Resolve every setting.

    `arguments` may have `server_url`, `profile`, `api_key_file`, and `timeout` and `deadline` in
    seconds; `platform` is the value of `sys.platform`; files are relative to `directory`. Raises
    UsageError and CredentialError.
    """
    if local:
        profile, key = Profile(name="", origin=""), None
        server = Setting(value=LOCAL_SERVER, source="--local")
    else:
        profile = load_profile(arguments.get("profile"), environ, platform=platform)
        _refuse_invalid_certificates(_find("accept_invalid_certs", arguments, environ, profile))
        key = _key(arguments, environ, profile, directory)
        server = _server_url(_find("server_url", arguments, environ, profile))
    timeout = _find("timeout", arguments, environ, profile)
    deadline = _find("deadline", arguments, environ, profile)
    return Settings(
        server_url=server,
        profile=Setting(value=profile.name, source=profile.origin),
        key=key,
        timeout=_seconds("the request timeout", timeout, DEFAULT_TIMEOUT),
        deadline=_seconds("the deadline", deadline, DEFAULT_DEADLINE),
        local=local,
    )


def _find(
    name: str, arguments: Mapping[str, Any], environ: Mapping[str, str], profile: Profile
) -> Setting[str] | None:
    """Return a setting from the argument, the environment or the profile, in this order."""
    variable, key = _SOURCES[name]
    argument = arguments.get(name)
    if argument is not None:
        return Setting(value=str(argument), source=f"--{name.replace('_', '-')}")
    found = bare(environ.get(variable, ""))
    if found:
        return Setting(value=found, source=variable)
    written = profile.get(key) if key is not None else None
    return None if written is None else Setting(value=bare(written[0]), source=written[1])


def _server_url(found: Setting[str] | None) -> Setting[str]:
    """Return the server URL without a final slash.

    Raises UsageError if a key must not be sent to it.
    """
    if found is None:
        return Setting(value=DEFAULT_SERVER, source="default")
    url, source = found.value.rstrip("/"), found.source
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    plain = re.fullmatch(r"[\x21-\x7e]+", url) is not None and port != 0
    hint = f"write scheme and host only, such as {DEFAULT_SERVER}"
    if not host or not plain or parts.scheme not in ("https", "http"):
        why = "is not a web address"
    elif parts.username is not None or parts.password is not None:
        why = "contains a user name or a password"
        hint = "remove them: CloudTruth needs only the API key"
    elif "?" in url or "#" in url:
        why = "has a query or a fragment"
    elif parts.path.endswith(("/api", "/api/v1")):
        why = "contains the path of the API"
    elif parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        why = "is http, which would send the API key unencrypted"
        hint = "use https; plain http is for this machine only (localhost, 127.0.0.1, [::1])"
    else:
        return Setting(value=url, source=source)
    raise UsageError(f"the server URL from {source} {why}", hint=hint)


def _key(
    arguments: Mapping[str, Any], environ: Mapping[str, str], profile: Profile, directory: Path
) -> Setting[Secret] | None:
    """Resolve the API key. An empty one is treated as missing, except in a file."""
    name, source = arguments.get("api_key_file"), "--api-key-file"
    if name is None and not bare(environ.get("CLOUDTRUTH_API_KEY", "")):
        name, source = environ.get("WEBHOOKS_API_KEY_FILE") or None, "WEBHOOKS_API_KEY_FILE"
    if name is not None:
        key = _checked(_read_key(directory / name, source), f"the file of {source}")
        return Setting(value=key, source=source)
    found = _find("api_key", arguments, environ, profile)
    if found is None:
        return None
    return Setting(value=_checked(found.value, found.source), source=found.source)


def _read_key(path: Path, source: str) -> str:
    hint = "name a file that contains only the API key"
    try:
        with path.open("rb") as file:
            data = file.read(_KEY_FILE_MAX + 1)
    except FileNotFoundError:
        raise CredentialError(f"the file named by {source} does not exist", hint=hint) from None
    except OSError:
        raise CredentialError(f"the file named by {source} cannot be read", hint=hint) from None
    text = bare(data.decode(errors="replace"))
    if not text or len(data) > _KEY_FILE_MAX:
        why = "too large to be an API key" if text else "empty"
        raise CredentialError(f"the file named by {source} is {why}", hint=hint)
    return text


def _checked(text: str, source: str) -> Secret:
    """Return the key if it can be sent in a header.

    Raises CredentialError, without the key, otherwise.
    """
    if text[:1] in _QUOTES and text[-1:] == text[:1]:
        why, hint = "is in quotes", "remove the quotes: they are read as part of the key"
    elif PLACEHOLDER.fullmatch(text):
        why = "is a placeholder, not a key"
        hint = "it was not replaced: check the step that writes the variable or the file"
    elif not _KEY_SHAPE.fullmatch(text):
        why = "contains spaces, line breaks or characters outside ASCII"
        hint = "copy the key from CloudTruth again"
    else:
        return Secret(text)
    raise CredentialError(f"the API key from {source} {why}", hint=hint)


def _seconds(what: str, found: Setting[str] | None, default: float) -> Setting[float]:
    if found is None:
        return Setting(value=default, source="default")
    try:
        seconds = float(found.value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        raise UsageError(
            f"{what} from {found.source} is not a number of seconds above 0 and up to 86400",
            hint=f"write a number such as {default:g}",
        )
    return Setting(value=seconds, source=found.source)


def _refuse_invalid_certificates(found: Setting[str] | None) -> None:
    if found is not None and found.value.lower() in ("true", "1", "yes", "on"):
        raise UsageError(
            f"invalid certificates cannot be accepted (from {found.source}): anyone on the "
            "network could read the API key and the webhooks' tokens",
            hint="for a private certificate authority, set its file in SSL_CERT_FILE or "
            "REQUESTS_CA_BUNDLE, and unset CLOUDTRUTH_ACCEPT_INVALID_CERTS or set it to false",
        )
