"""Names, responses, paths and variables cannot control a terminal or a CI log.

A runner executes `##[command]` anywhere in a line and `::command::` at the start of one. A terminal
executes control characters. Every command runs with texts that contain all three, in every place
that others can write to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.faults import Fault, Rule, Script, raw, redirect, status as rejection
from tests.folders import write
from tests.goldens import rows
from tests.render.oracle import control_characters
from tests.secrecy.world import COMMANDS, Case, World, event, pairwise, perform, world

ATTACKS: Final = (
    "##[group]a", "b ##[error]b", "##vso[task.complete]c", "::evil::d", "  ::evil::e",
    "f\n::evil::f", "g\r\n##[section]g", "h\x1b[2Jh", "i\x9b2Ji", "j\x07\x08j", "k\u202ek",
    "l\u2028::evil::l", "m\x7fm", "n\x85::evil::n", "# o ##[debug]o", "-->p ##[x]",
    "q\v\f::evil::q",
)  # fmt: skip
VISIBLE: Final = tuple(each for each in ATTACKS if each.isprintable() and each == each.strip())
ALL: Final = " ".join(ATTACKS) + "\n::evil::last"
NAME: Final = " ".join(each.replace("/", "") for each in VISIBLE)
TOKEN: Final = "xoxb-" + "0123456789-abcdef"

_COMMANDS: Final = re.compile(
    r"^::(?:error|warning|notice|group|endgroup|add-mask)\b", re.MULTILINE
)


def bad(text: str) -> list[str]:
    """Return the lines of an output that control a terminal or a runner."""
    found = []
    for line in text.split("\n"):
        acts = re.search(r"##\w*\[", line) or line.lstrip().startswith("::evil")
        foreign = line.startswith("::") and not _COMMANDS.match(line)
        if acts or foreign or control_characters(line):
            found.append(line)
    return found


def printable(text: str) -> str:
    """Return terminal output without the tool's own sequences."""
    return re.sub(r"\x1b\[[0-9;]*m|\r?\x1b\[K|\x1b\]8;;[ -~]*\x1b\\\\", "", text)


def _webhook(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": "slack",
        "event_types": ["value_deleted"],
        "configuration": {"token": {"env": "SLACK_BOT_TOKEN"}, "channel": name, "username": name},
        **more,
    }


def _declared(kind: str) -> str:
    webhooks: list[Any] = [_webhook(each) for each in VISIBLE]
    document: dict[str, Any] = {"webhooks": webhooks, "ignore": ["*zzz"], "protect": [VISIBLE[0]]}
    match kind:
        case "valid":
            webhooks[0]["configuration"]["channel"] = "#other ##[x]"
            webhooks[1]["previously"] = ["old ##[x]"]
            webhooks[2]["configuration"]["token"] = {"file": VISIBLE[3]}
            webhooks.append({"name": "gone ##[x]", "state": "absent"})
            webhooks.append(_webhook("new ##[x]"))
            document["limits"] = {"max_deletes": 50}
        case "names":
            webhooks += [_webhook(each) for each in ATTACKS]
        case "values":
            webhooks[2]["configuration"]["token"] = {"env": f"T {VISIBLE[2]}"}
            for each in ATTACKS:
                webhooks.append(_webhook("x", type=each, event_types=[each], state=each))
                webhooks.append({"name": "y", each: each, "configuration": {each: {each: each}}})
                webhooks.append(_webhook("z", previously=[each], id=each))
            document |= {ALL: ALL, "version": ALL, "limits": {ALL: ALL}, "prune": ALL}
        case "organization":
            document["organization"] = NAME
        case "broken":
            return "webhooks:\n" + "\n".join(f"  - {{name: {each}: [}}" for each in ATTACKS)
        case _:
            return f"webhooks: [\n  {ALL}\n# ##[group]\n::evil::\n - ] : ##[x]\n&a *b !<##[x]> c"
    return json.dumps(document, ensure_ascii=kind != "names", indent=1)


_ROWS: Final = '{"count":1,"next":null,"previous":null,"results":[{"id":%s,"name":"x"}]}'
FILES: Final = ("valid", "names", "values", "organization", "broken", "bytes")


_SAID: Final = json.dumps({"detail": ALL, NAME: [ALL, {ALL: ALL}], "configuration": {ALL: [ALL]}})
_KEYS: Final = json.dumps({ALL: 1, "results": [{ALL: ALL}], "next": ALL})
FAULTS: Final[dict[str, Sequence[tuple[Fault, str | None]]]] = {
    "none": (),
    "detail": [(rejection(409, detail=ALL), "POST"), (rejection(409, detail=ALL), "PATCH"),
               (rejection(400, detail=ALL), "DELETE")],
    "fields": [(raw(_SAID.encode(), code=400), each) for each in ("POST", "PATCH", "DELETE")],
    "page": [(raw(ALL.encode(), content_type="text/html ##[x]"), "GET")],
    "rejected": [(rejection(403, detail=ALL), None)],
    "throttled": [(rejection(429, detail=ALL, retry_after="##[x] ::evil::"), "GET")],
    "redirected": [(redirect("https://x.example/##[group]x?::evil::"), None)],
    "keys": [(raw(_KEYS.encode()), "GET")],
    "id": [(raw((_ROWS % json.dumps(ALL)).encode()), "GET")],
    "twice": [(raw(f'{{"{NAME}": 1, "{NAME}": 2}}'.encode()), "GET")],
}  # fmt: skip


def _populated() -> Emulator:
    emulator = Emulator()
    store = emulator.store
    at = "2026-01-02T03:04:05Z"
    for number, each in enumerate((*ATTACKS, *ATTACKS[:3], "old ##[x]", "gone ##[x]")):
        store.save(
            {
                "id": None,
                "name": each,
                "type": each if number == 5 else "slack",
                "event_types": ["value_deleted", *([each] if number == 6 else [])],
                "configuration": {
                    "token": TOKEN,
                    "channel": each if number % 2 else "audit",
                    "username": each,
                    each: each,
                },
                "organization": emulator.organization,
                "last_run": at if number % 2 else each,
                "last_error": {"timestamp": at, "code": each, "text": f"{ALL} {each}", each: each},
            }
        )
    other = store.add_organization(ALL)
    store.add_user(other.id, key="other", role="OWNER", name=ALL)
    return emulator


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the servers once."""
    with world(tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run outside the project: files may be named by a variable of the job."""
    monkeypatch.chdir(tmp_path)


def run(
    servers: World,
    arguments: Sequence[str],
    *,
    first: str = "",
    file: str | None = "valid",
    fault: str = "none",
    keys: str = "",
    sink: str = "pipe",
    **environ: str,
) -> tuple[int, str]:
    """Run a command with malicious strings; return the exit code and both streams."""
    servers.runs += 1
    home = servers.folder / f"{servers.runs} {VISIBLE[0]}"
    profiles: dict[str, Any] = {"default": {}, NAME: {"server_url": NAME}}
    files = {
        VISIBLE[3]: TOKEN,
        "event.json": event(NAME, ALL),
        "old.yaml": json.dumps({"webhooks": [_webhook(each) for each in VISIBLE[:-1]]}),
        ".config/cloudtruth/cli.yml": json.dumps({"profiles": profiles}),
    }
    if file is not None:
        files["webhooks.yaml"] = _declared(file)
    write(home, files)
    servers.emulator = emulator = _populated()
    keyed = {"CLOUDTRUTH_API_KEY": LOCAL_KEY, "SLACK_BOT_TOKEN": TOKEN}
    here = {**servers.environ(home, "pipe", " ".join(arguments)), **keyed, **environ}
    if first:
        perform(first.split(), here, home, "pipe", "")
    emulator.faults = Script(
        Rule(fault=each, method=method, times=None) for each, method in FAULTS[fault]
    )
    done = perform(arguments, here, home, sink, keys)
    emulator.store.close()
    return done.code, printable(done.printed) if sink == "terminal" else done.printed


def _cases() -> dict[str, list[Case]]:
    """Return cases by command: configuration, fault and output, pairwise."""
    shown = {"format": (0, 1, 2), "sink": ("pipe", "terminal"), "more": ("", "-vv --debug")}
    faults_and_keys = {"fault": tuple(FAULTS), "key": (LOCAL_KEY, "other")}
    offline = [line for line, each in COMMANDS.items() if not each.connects]
    online = [line for line, each in COMMANDS.items() if each.connects]
    found: dict[str, list[Case]] = {line: [] for line in COMMANDS}
    for case in (
        *pairwise({"line": offline, "file": FILES, **shown}),
        *pairwise({"line": online, "file": FILES, **shown, **faults_and_keys}),
    ):
        found[case.pop("line")].append(case)
    return found


CASES: Final = _cases()


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_with_malicious_texts(servers: World, line: str) -> None:
    """Live names, responses and configuration files are malicious, in every kind of output."""
    command = COMMANDS[line]
    for case in CASES[line]:
        code, printed = run(
            servers,
            [*command.arguments(case["format"]), *case["more"].split()],
            first=command.first.strip("-"),
            file=None if command.first == "-" else case["file"],
            fault=case.get("fault", "none"),
            keys=command.keys,
            sink=case["sink"],
            CLOUDTRUTH_API_KEY=case.get("key", LOCAL_KEY),
        )
        assert (code != 70, bad(printed)) == (True, []), (case, printed)


HOSTILE: Final = rows(Path(__file__).with_name("hostile.yaml"))


@pytest.mark.parametrize("arguments", HOSTILE["arguments"], ids=" ".join)
def test_malicious_arguments(servers: World, arguments: Sequence[str]) -> None:
    """Every argument that takes text is malicious, and so are file names."""
    code, printed = run(servers, [*(word.replace("{H}", NAME) for word in arguments), "-vv"])
    assert (code != 70, bad(printed)) == (True, []), printed


@pytest.mark.parametrize("variable", HOSTILE["variables"])
def test_malicious_environment(servers: World, variable: str) -> None:
    """Every variable that the program reads is malicious."""
    for value in (ALL, f"https://{NAME}"):
        for line in ("plan -vv", "ci plan --label x"):
            code, printed = run(servers, line.split(), **{variable: value})
            assert (code != 70, bad(printed)) == (True, []), (line, printed)
