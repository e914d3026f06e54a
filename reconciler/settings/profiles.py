"""Read the profiles of CloudTruth's command line from its `cli.yml`, which is never written.

A profile inherits from its `source_profile`, and finally from `default`. A chain with a loop or a
missing profile is an error, as in CloudTruth's command line. Every value has the profile that it
comes from. A missing file is treated as empty, unless a profile was requested by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import UsageError

DEFAULT_PROFILE: Final = "default"

_FILE_MAX: Final = 1024 * 1024
_UNSET: Final = ("", "~", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile with its inherited values.

    `origin` is the setting that selected it. `links` are the profiles of the chain, the selected
    one first, each with its own values.
    """

    name: str
    origin: str
    links: tuple[tuple[str, Mapping[str, str]], ...] = ()

    def get(self, key: str) -> tuple[str, str] | None:
        """Return the first value of `key` in the chain and its source, None if it is not set."""
        for name, values in self.links:
            if values.get(key, "") not in _UNSET:
                return values[key], f"profile {name}"
        return None


def load_profile(argument: str | None, environ: Mapping[str, str], *, platform: str) -> Profile:
    """Read the profile that the argument or the environment selects. Raises UsageError."""
    name, origin = DEFAULT_PROFILE, "default"
    if environ.get("CLOUDTRUTH_PROFILE"):
        name, origin = environ["CLOUDTRUTH_PROFILE"], "CLOUDTRUTH_PROFILE"
    if argument:
        name, origin = argument, "--profile"
    file = profile_file(environ, platform)
    profiles = _read(file) if file is not None else None
    if profiles is None:
        if name == DEFAULT_PROFILE:
            return Profile(name=name, origin=origin)
        raise UsageError(
            f"there is no profile {name!r} (from {origin}): CloudTruth's command line has no "
            "configuration file here",
            hint="create it with `cloudtruth configuration profiles set`, or set "
            "CLOUDTRUTH_API_KEY instead",
        )
    return Profile(name=name, origin=origin, links=_chain(name, origin, profiles))


def profile_file(environ: Mapping[str, str], platform: str) -> Path | None:
    """Return the path of `cli.yml` on this platform; None if the environment does not define it."""
    home = environ.get("HOME")
    configured = environ.get("XDG_CONFIG_HOME", "")
    match platform:
        case "win32":
            base, rest = environ.get("APPDATA"), "CloudTruth/CloudTruth CLI/config"
        case "darwin":
            base, rest = home, "Library/Application Support/com.cloudtruth.CloudTruth-CLI"
        case _ if configured.startswith("/"):
            base, rest = configured, "cloudtruth"
        case _:
            base, rest = home, ".config/cloudtruth"
    return Path(base, rest, "cli.yml") if base else None


def _chain(
    name: str, origin: str, profiles: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[str, Mapping[str, str]], ...]:
    links: dict[str, Mapping[str, str]] = {}
    wanted, by = name, origin
    optional = name == DEFAULT_PROFILE
    while True:
        if wanted in links:
            raise UsageError(
                f"the source_profile of profile {list(links)[-1]!r} leads back to {wanted!r}",
                hint="correct it in CloudTruth's cli.yml",
            )
        if wanted not in profiles:
            if optional:
                break
            known = ", ".join(sorted(profiles)) or "none"
            raise UsageError(
                f"there is no profile {wanted!r} (from {by})",
                hint=f"profiles in CloudTruth's cli.yml: {known}",
            )
        values = profiles[wanted]
        links[wanted] = values
        following = values.get("source_profile", "")
        if following not in _UNSET:
            wanted, by, optional = following, f"source_profile of {wanted!r}", False
        elif DEFAULT_PROFILE not in links:
            wanted, optional = DEFAULT_PROFILE, True
        else:
            break
    return tuple(links.items())


def _read(file: Path) -> dict[str, dict[str, str]] | None:
    """Return the profiles in `file`, with every scalar as text."""
    import yaml

    try:
        with file.open("rb") as stream:
            data = stream.read(_FILE_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        raise UsageError(
            "CloudTruth's cli.yml cannot be read", hint="check the permissions of the file"
        ) from None
    try:
        if len(data) > _FILE_MAX:
            raise ValueError
        tree = yaml.load(data, Loader=yaml.BaseLoader)  # noqa: S506 - creates only text
        return _profiles(tree)
    except (yaml.YAMLError, ValueError, RecursionError):
        # The library's message would quote the file, which contains keys.
        raise UsageError(
            "CloudTruth's cli.yml is not a list of profiles",
            hint="see `cloudtruth configuration profiles list`, or set CLOUDTRUTH_API_KEY instead",
        ) from None


def _profiles(tree: object) -> dict[str, dict[str, str]]:
    found = tree.get("profiles") if isinstance(tree, dict) else tree
    if found is None or found in _UNSET:
        return {}
    if not isinstance(found, dict):
        raise ValueError
    profiles: dict[str, dict[str, str]] = {}
    for name, values in found.items():
        if not isinstance(name, str) or not isinstance(values, dict | str):
            raise ValueError
        pairs = values.items() if isinstance(values, dict) else ()
        profiles[name] = {str(key): value.strip() for key, value in pairs if isinstance(value, str)}
    return profiles
