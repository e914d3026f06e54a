"""Where to connect, as whom, and for how long: every value together with where it came from.

The precedence is that of CloudTruth's own command line: argument, environment, profile, default.
Arguments, environment, platform and directory are parameters, so the same call returns the same
settings anywhere. With `local` neither a key nor a profile is read. Refused: a server to which a
key must not be sent, a key that cannot be one, and switching off the check of certificates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from reconciler.errors import CredentialError, UsageError
from reconciler.model import Secret
from reconciler.settings.profiles import Profile, load_profile
from reconciler.source.allowed import PLACEHOLDER, bare

T = TypeVar("T")

DEFAULT_SERVER: Final = "https://api.cloudtruth.io"
LOCAL_SERVER: Final = "http://emulator.localhost"
"""The server inside this process, so that no plan made there is taken for a real one."""
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
    """A value, and in words where it came from."""

    value: T
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What the command line says; None where it says nothing. Seconds are plain numbers."""

    server_url: str | None = None
    profile: str | None = None
    api_key_file: str | None = None
    timeout: float | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a connection needs.

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
        """Return where the API key came from, None if there is none."""
        return None if self.key is None else self.key.source

    def require_key(self) -> Secret:
        """Return the API key. Raises CredentialError, which tells the ways to give one."""
        if self.key is None:
            raise CredentialError(
                "there is no CloudTruth API key",
                hint="set CLOUDTRUTH_API_KEY, or name a file with --api-key-file, or a profile of "
                "CloudTruth's command line with --profile; --local needs no key",
            )
        return self.key.value


def resolve(
    arguments: Arguments,
    environ: Mapping[str, str],
    *,
    platform: str,
    directory: Path,
    local: bool = False,
) -> Settings:
    """Find every setting.

    `platform` is as `sys.platform` names it; files are relative to `directory`. Raises UsageError
    and CredentialError.
    """
    if local:
        profile, key = Profile(name="", origin=""), None
        server = Setting(value=LOCAL_SERVER, source="--local")
    else:
        profile = load_profile(arguments.profile, environ, platform=platform)
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
    name: str, arguments: Arguments, environ: Mapping[str, str], profile: Profile
) -> Setting[str] | None:
    """Return a setting from the first of argument, environment and profile that has it."""
    variable, key = _SOURCES[name]
    argument = getattr(arguments, name, None)
    if argument is not None:
        return Setting(value=str(argument), source=f"--{name.replace('_', '-')}")
    found = bare(environ.get(variable, ""))
    if found:
        return Setting(value=found, source=variable)
    written = profile.get(key) if key is not None else None
    return None if written is None else Setting(value=bare(written[0]), source=written[1])


def _server_url(found: Setting[str] | None) -> Setting[str]:
    """Return the server without a final slash if the key may be sent there."""
    if found is None:
        return Setting(value=DEFAULT_SERVER, source="default")
    url, source = found.value.rstrip("/"), found.source
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    plain = re.fullmatch(r"[\x21-\x7e]+", url) is not None and port != 0
    if not host or not plain or parts.scheme not in ("https", "http"):
        raise UsageError(
            f"the server URL from {source} is not a web address",
            hint=f"write scheme and host, such as {DEFAULT_SERVER}",
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"the server URL from {source} contains a user name or a password",
            hint="remove them: CloudTruth needs only the API key",
        )
    if "?" in url or "#" in url:
        raise UsageError(
            f"the server URL from {source} has a query or a fragment",
            hint=f"write scheme and host, such as {DEFAULT_SERVER}",
        )
    if parts.path.endswith(("/api", "/api/v1")):
        raise UsageError(
            f"the server URL from {source} contains the path of the API",
            hint=f"write scheme and host only, such as {DEFAULT_SERVER}",
        )
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        raise UsageError(
            f"the server URL from {source} is http, which would send the API key in the clear",
            hint="use https; plain http is for this machine only (localhost, 127.0.0.1, [::1])",
        )
    return Setting(value=url, source=source)


def _key(
    arguments: Arguments, environ: Mapping[str, str], profile: Profile, directory: Path
) -> Setting[Secret] | None:
    """Find the API key. An empty one counts as missing, wherever it stands."""
    named = arguments.api_key_file
    if named is not None:
        return _key_of_file(directory, named, "--api-key-file")
    named = environ.get("WEBHOOKS_API_KEY_FILE")
    if named and not bare(environ.get("CLOUDTRUTH_API_KEY", "")):
        return _key_of_file(directory, named, "WEBHOOKS_API_KEY_FILE")
    found = _find("api_key", arguments, environ, profile)
    if found is None:
        return None
    return Setting(value=_checked(found.value, found.source), source=found.source)


def _key_of_file(directory: Path, name: str, source: str) -> Setting[Secret]:
    text = _read_key(directory / name, source)
    return Setting(value=_checked(text, f"the file of {source}"), source=source)


def _read_key(path: Path, source: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_KEY_FILE_MAX + 1)
    except OSError as problem:
        reason = "does not exist" if isinstance(problem, FileNotFoundError) else "cannot be read"
        raise CredentialError(
            f"the file named by {source} {reason}",
            hint="name a file that contains only the API key",
        ) from None
    if len(data) > _KEY_FILE_MAX:
        raise CredentialError(f"the file named by {source} is too large to be an API key")
    text = bare(data.decode(errors="replace"))
    if not text:
        raise CredentialError(
            f"the file named by {source} is empty", hint="write the API key into it"
        )
    return text


def _checked(text: str, source: str) -> Secret:
    """Refuse what cannot be a key or be sent in a header, without showing any of it."""
    if text[:1] in _QUOTES and text[-1:] == text[:1]:
        raise CredentialError(
            f"the API key from {source} is in quotes",
            hint="remove the quotes: they are read as part of the key",
        )
    if PLACEHOLDER.fullmatch(text):
        raise CredentialError(
            f"the API key from {source} is a placeholder, not a key",
            hint="nothing replaced it: check how the variable or the file is filled",
        )
    if not _KEY_SHAPE.fullmatch(text):
        raise CredentialError(
            f"the API key from {source} contains spaces, line breaks or characters outside ASCII",
            hint="copy the key again from CloudTruth; it is one word",
        )
    return Secret(text)


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
            f"accepting invalid certificates (from {found.source}) is not possible: anyone on the "
            "way could read the API key and the webhooks' tokens",
            hint="for a private certificate authority name its file in SSL_CERT_FILE or "
            "REQUESTS_CA_BUNDLE, and unset CLOUDTRUTH_ACCEPT_INVALID_CERTS or set it to false",
        )
