"""The fenced code blocks of Markdown, and what each block of shell commands needs and does.

A block runs as written, in a new folder, against an emulated CloudTruth and a fake Slack. `SETUPS`
has an entry for every block on a page for users, by its name. A program that no test can run is
replaced by a small one on the PATH that records its calls and does as much of its work as possible;
`calls` is compared with the record. Blocks run in another test are in `ELSEWHERE`.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

from reconciler.ci.workflows import pinned
from tests.deliveries.fake_slack import GOOD
from tests.folders import ROOT

_BLOCK = re.compile(r"^[ ]*```(?P<language>\w*)\n(?P<text>.*?)^[ ]*```$", re.M | re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block: its position and its text.

    `name` does not depend on line numbers: the page, the heading above it and, if several blocks of
    one language follow a heading, a number.
    """

    name: str
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path, root: Path) -> Iterator[Block]:
    """Yield each fenced block of a page."""
    page = path.read_text("utf-8")
    seen: Counter[tuple[str, str]] = Counter()
    for found in _BLOCK.finditer(page):
        where = path.relative_to(root).as_posix()
        heading = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page[: found.start()]), flags=re.M)[-1]
        seen[heading, found["language"]] += 1
        number = seen[heading, found["language"]]
        yield Block(
            name=f"{where}: {heading}" + (f" ({number})" if number > 1 else ""),
            page=where,
            line=page[: found.start("language")].count("\n") + 1,
            language=found["language"],
            text=dedent(found["text"]),
        )


SECRETS: Final = {"SLACK_BOT_TOKEN": GOOD, "PAGER_PASSWORD": "an example password"}
_RECORD: Final = '#!/bin/sh\necho "${0##*/}${*:+ $*}" >> "$CALLS"\n'

STAND_INS: Final[Mapping[str, str]] = {
    # From an index, which tests do not have. `.` is installed in tests/packaging.
    "pip": _RECORD,
    # Programs of a cluster and of the system; tests/deploy has what can run without them.
    "kubectl": _RECORD,
    "podman": _RECORD,
    "sudo": _RECORD,
    # Options, `run`, then a command that receives the project's parameters as variables, and the
    # API key only with `--permissive`.
    "cloudtruth": f"""{_RECORD}
[ "$1 $3 $5" = "--env --project run" ] || exit 64
shift 5
[ "$1" = --permissive ] && shift || unset CLOUDTRUTH_API_KEY CLOUDTRUTH_SERVER_URL
[ "$1" = -- ] || exit 64
shift
SLACK_BOT_TOKEN={GOOD} exec "$@"
""",
    # Measuring needs minutes and other programs.
    "python": f"""{_RECORD}
case "$1 $2" in
  "-m benchmarks") shift 2
    exec {sys.executable} -c "
import sys
from benchmarks.__main__ import parser
parser().parse_args(sys.argv[1:])" "$@" ;;
  *) exec {sys.executable} "$@" ;;
esac
""",
}
"""Programs that come first on the PATH. `python3` is `python`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSetup:
    """The preconditions of a block, and its effects.

    `files` are written into the folder, which with `clone` is a copy of the repository; `before` is
    committed on the branch `main` first. `live` is a webhooks file that is applied first.
    `choices` are the emulator's. `smaller` replaces parts of the block that would take too long.
    Every text in `prints` is printed, in this order; `calls` are all calls of the stand-ins.
    """

    prints: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    clone: bool = False
    before: Mapping[str, str] = field(default_factory=dict)
    live: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: SECRETS)
    smaller: Mapping[str, str] = field(default_factory=dict)
    calls: tuple[str, ...] = ()


def first_file_on(page: str) -> str:
    """Return the first configuration file on a page."""
    found = (each for each in blocks(ROOT / page, ROOT) if each.language == "yaml")
    return next(each.text for each in found if "\nwebhooks:" in f"\n{each.text}")


EXAMPLE: Final = (ROOT / "examples" / "webhooks.yaml").read_text("utf-8")
README: Final = first_file_on("README.md")
SECRETS_PAGE: Final = first_file_on("docs/secrets.md")
_PAGER_URL: Final = {"secrets/pager-url": "https://pager.example.com/v1/an-example\n"}
_ROTATED: Final = SECRETS_PAGE.replace(
    "{env: SLACK_BOT_TOKEN}", "{env: SLACK_BOT_TOKEN, version: 2}"
)
_SECRETS_FILES: Final = {"webhooks.yaml": SECRETS_PAGE, **_PAGER_URL}
_ROTATION: Final = {"webhooks.yaml": _ROTATED, **_PAGER_URL}

UNITS: Final = " ".join(
    f"deploy/systemd/{path.name}" for path in sorted((ROOT / "deploy/systemd").iterdir())
)
SOURCE: Final = pinned("COMMIT")[0]

SETUPS: Final[Mapping[str, BlockSetup]] = {
    "README.md: Adopt an organization": BlockSetup(
        live=EXAMPLE,
        prints=("wrote webhooks.yaml", *["No changes. 3 webhooks match in the compared field"] * 3),
    ),
    "docs/github.md: Without reviews": BlockSetup(
        smaller={"${{ github.event.before }}": "0" * 40},
        files={"webhooks.yaml": README},
        prints=("3 created",),
        calls=(f"pip install {SOURCE}",),
    ),
    "docs/doctor.md: Troubleshooting": BlockSetup(
        files={"webhooks.yaml": EXAMPLE},
        prints=("Settings", "Network", "CloudTruth", "Files"),
    ),
    "docs/doctor.md: Test with one webhook": BlockSetup(
        files={"webhooks.yaml": EXAMPLE},
        smaller={"--probe": "--probe --yes"},
        prints=("Probe", "create", "the webhook no longer exists"),
    ),
    "docs/doctor.md: For a bug report": BlockSetup(
        files={"webhooks.yaml": EXAMPLE}, prints=('"format_version": "3"',)
    ),
    "docs/file.md: The configuration file": BlockSetup(
        files={"webhooks.yaml": EXAMPLE}, prints=("Valid: 4 webhooks",)
    ),
    "docs/github.md: Set up in five minutes": BlockSetup(
        environ={"CLOUDTRUTH_API_KEY": ""},
        prints=("webhooks.yaml", "plan-webhooks.yml"),
        calls=(f"pip install {SOURCE}",),
    ),
    "docs/guarantees.md: How it is tested": BlockSetup(
        clone=True,
        smaller={"10000 ": "3 "},
        prints=("3 seeds in", " 0 violations", "GET", "1 seeds in", " 0 violations"),
        calls=("python -m tests.simulation --seeds 3 --start 64000000",
               "python -m tests.simulation --seed 4711 --trace"),
    ),
    "docs/performance.md: Measure it yourself": BlockSetup(
        clone=True,
        calls=("python -m benchmarks", "python -m benchmarks --quick",
               "python -m benchmarks --row plan-10000 --out results"),
    ),
    "docs/secrets.md: Which secrets may be used": BlockSetup(
        files=_SECRETS_FILES, prints=("2 to create", "to confirm:", "2 created")
    ),
    "docs/secrets.md: Rotate a secret": BlockSetup(
        before=_SECRETS_FILES, live=SECRETS_PAGE, files=_ROTATION, choices={"read_back": "mask"},
        prints=("1 to update", "Apply 1 change?", "1 updated"),
    ),
    "docs/secrets.md: Rotate a secret (2)": BlockSetup(
        live=SECRETS_PAGE, files=_SECRETS_FILES, choices={"read_back": "mask"},
        prints=("1 updated", "to confirm:", "1 updated", "2 updated"),
    ),
    "docs/secrets.md: Secrets kept in CloudTruth": BlockSetup(
        files={"webhooks.yaml": EXAMPLE},
        environ={"PAGER_PASSWORD": "an example password"},
        prints=("to confirm:", "3 created"),
        calls=(
            "cloudtruth --env production --project notifications run --permissive "
            "-- webhooks apply",
        ),
    ),
    "docs/examples.md: One organization": BlockSetup(clone=True, prints=("Plan: 3 to create",)),
    "docs/examples.md: Five organizations": BlockSetup(
        clone=True, prints=("5 organizations: 5 to change",)
    ),
    "docs/examples.md: Sixty organizations": BlockSetup(
        clone=True, prints=("60 organizations: 60 to change",), calls=("python generate.py",)
    ),
    "docs/organizations.md: Several organizations from shared files": BlockSetup(
        clone=True, prints=("organization: Acme Staging", "Plan: 1 to create")
    ),
    "docs/reconcile.md: Try it in five minutes": BlockSetup(
        before={"webhooks.yaml": first_file_on("docs/reconcile.md")},
        prints=("1 to create", "create Audit", "No changes"),
    ),
    "docs/reconcile.md: On Kubernetes": BlockSetup(
        clone=True,
        calls=("podman build --file deploy/Containerfile "
               "--tag registry.example.com/webhooks:0.1.0 .",
               "podman push registry.example.com/webhooks:0.1.0"),
    ),
    "docs/reconcile.md: On Kubernetes (2)": BlockSetup(
        calls=("kubectl create namespace webhooks",
               *(f"kubectl --namespace webhooks create secret generic {name} --from-env-file={file}"
                 for name, file in (("webhooks", "webhooks.env"), ("webhooks-git", "git.env")))),
    ),
    "docs/reconcile.md: On Kubernetes (3)": BlockSetup(
        clone=True,
        calls=("kubectl apply --kustomize deploy/kubernetes/example",
               "kubectl --namespace webhooks logs deployment/webhooks-reconcile --follow"),
    ),
    "docs/reconcile.md: With systemd": BlockSetup(
        clone=True,
        calls=("sudo python3 -m venv /opt/webhooks",
               "sudo /opt/webhooks/bin/pip install --require-hashes "
               "--requirement requirements/action.lock",
               "sudo /opt/webhooks/bin/pip install --no-deps --no-build-isolation .",
               f"sudo cp {UNITS} /etc/systemd/system/",
               "sudo systemctl daemon-reload",
               "sudo systemctl enable --now webhooks-fetch.timer webhooks-reconcile.service"),
    ),
    "docs/ci.md: On any CI": BlockSetup(
        before={"webhooks.yaml": first_file_on("docs/reconcile.md")},
        smaller={"origin/main": "main"},
        prints=("Valid", "1 to create", "1 to create", "1 created"),
    ),
    "docs/organizations.md: Try it": BlockSetup(
        clone=True, prints=("Valid: 4 webhooks in 2 files", "In Acme Staging:")
    ),
    "docs/organizations.md: On GitHub": BlockSetup(
        files={
            f"organizations/{each.name}": each.read_text("utf-8")
            for each in (ROOT / "examples/organizations").glob("*.yaml")
        },
        prints=("wrote .github/workflows/webhooks.yml", "--env cloudtruth-production"),
    ),
    "docs/organizations.md: Policies": BlockSetup(clone=True, prints=("Valid: 1 webhook",)),
    "docs/deliveries.md: Check the webhooks": BlockSetup(
        files={"webhooks.yaml": EXAMPLE}, live=EXAMPLE, prints=("never run", "Slack token env"),
    ),
    "docs/deliveries.md: Prove it": BlockSetup(
        files={"webhooks.yaml": EXAMPLE}, live=EXAMPLE, prints=("delivered", "6 events"),
    ),
    "docs/deliveries.md: Create the Slack app": BlockSetup(
        prints=("chat:write.customize", "https://api.slack.com/apps?new_app=1&manifest_json="),
    ),
}  # fmt: skip
"""Every block of type `sh`, and every workflow with commands, by its name."""

ELSEWHERE: Final[Mapping[str, tuple[str, str, str]]] = {
    "README.md: Try it": (
        "tests/packaging/test_installed.py", "def test_the_first_command_of_the_readme",
        "in a fresh clone, with a new environment and everything that pip installs",
    ),
    "README.md: Try it (2)": (
        ".ci/run", "<!-- test command -->",
        "exactly as written, in every CI run: it runs all tests, including this one",
    ),
}  # fmt: skip
"""A block that another test runs: the file, a text in it, and how it is run."""
