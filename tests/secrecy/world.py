"""Run commands whose inputs are full of canaries, and search everything that they leave.

The cases combine every pair of values of two factors.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import reconciler
from reconciler.ci.marker import decode
from reconciler.cli.console import Console
from reconciler.cli.main import handle_error, program
from reconciler.emulator.messages import dump
from tests.ci.fake_github import FakeGitHub, runner_environ
from tests.cli.conftest import make_process
from tests.deliveries.fake_slack import SCOPES, FakeSlack
from tests.emulated import faults
from tests.emulated.emulator import Emulator, Request, Response
from tests.emulated.faults import Fault, Rule, Script
from tests.emulated.variant import Variant
from tests.folders import write
from tests.goldens import rows
from tests.secrecy import canaries as c
from tests.secrecy.canaries import find
from tests.served import served

_PACKAGE: Final = Path(reconciler.__file__).resolve().parent
_REVEALING: Final = _PACKAGE / "api"

GOOD: Final = Path(__file__).with_name("good.txt").read_text("utf-8")
_MORE: Final = '  - {name: X, type: generic, event_types: ["*"], configuration: {'
INPUTS: Final = {
    "good": GOOD,
    "literals": GOOD + _MORE + f"url: '{c.LITERAL_URL.value}', token: '{c.LITERAL.value}'" + "}}\n",
    "literal slack token": GOOD.replace("{file: secrets/audit}", c.ENV_TOKEN.value),
    "token for a variable": GOOD.replace("env: PAGER_URL", f"env: '{c.ENV_TOKEN.value}'"),
    "secret for a variable": GOOD.replace("env: PAGER_URL", f"env: '{c.LITERAL.value}'"),
    "list for a token": GOOD.replace("{file: secrets/audit}", f"[{c.LITERAL.value}]"),
    "mapping for a token": GOOD.replace("{file: secrets/audit}", f"{{is: {c.LITERAL.value}}}"),
    "misspelled key": GOOD + _MORE + f"url: 'https://h.example', tokn: {c.LITERAL.value}" + "}}\n",
    "broken beside it": GOOD + _MORE + f"url: 'https://h.example.com', token: {c.LITERAL.value}\n",
    "broken within it": GOOD + _MORE + f'url: "https://h.example.com", token: "{c.LITERAL.value}\n',
    "no url": GOOD + _MORE + f"url: '{c.LITERAL.value}', token: '{c.LITERAL.value}'" + "}}\n",
    "user in a url": GOOD + _MORE + f"url: 'https://u:{c.LITERAL.value}@h.example.com/'" + "}}\n",
    "duplicate": GOOD + _MORE + f"token: {c.LITERAL.value}, token: {c.LITERAL.value}" + "}}\n",
    "tag": GOOD + _MORE + f"token: !!binary {c.LITERAL.value}" + "}}\n",
    "merged": GOOD + _MORE + f"<<: {c.LITERAL.value}" + "}}\n",
    "token for a name": GOOD.replace("New", c.ENV_TOKEN.value).replace("Audit", c.ENV_TOKEN.value),
    "not set": GOOD.replace("env: PAGER", "env: NO").replace("me,", "me, token: {env: NO_TOKEN},"),
    "the api key": GOOD.replace("PAGER_PASSWORD", "COPY_OF_KEY"),
}  # fmt: skip
"""Contents of the configuration file, by the error in it."""

_QUOTED: Final = (
    f"rejected {c.ECHO.value} {c.KEY.value} {c.KEY.value[:-3]} at {c.ECHO_URL.value} "
    "and a permission"
)
_LOCATION: Final = (
    f"https://{c.LOCATION.value}@elsewhere.example.com/{c.LOCATION.value}?key={c.LOCATION.value}"
)
_PAGE: Final = f"<html>{c.BODY.value} {c.KEY.value}</html>".encode()
_DEEP: Final = "[" * 40 + json.dumps(c.OTHER_TYPE.value) + "]" * 40
_ROW: Final = '{"id":"1","name":"Deep","type":"x","event_types":[],"configuration":{"a":%s}}'
_LIST: Final = '{"count":1,"next":null,"previous":null,"results":[%s]}'


def _on(fault: Fault, method: str, times: int | None = None) -> Rule:
    return Rule(fault=fault, method=method, path="/api/v1/webhooks/*", times=times)


def _writes(fault: Fault) -> tuple[Rule, ...]:
    return tuple(_on(fault, each) for each in ("POST", "PATCH", "DELETE"))


@dataclass(frozen=True, slots=True)
class Echo:
    """Rejects writes and quotes what was sent, and what was `shown` before that: complete, value by
    value, and truncated. With `reads` it rejects the reads after that.
    """

    make: Callable[[list[str]], Fault]
    reads: bool = False
    shown: set[str] = field(default_factory=set)

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        if (method == "GET") is not self.reads or (self.reads and not self.shown):
            return None
        texts = [_QUOTED, body.decode()]
        sent = json.loads(body or b"{}").get("configuration", {}).values()
        for value in map(str, [*sorted(self.shown), *sent]):
            forms = (value, repr(value), quote(value), value[:-3], value[4:], *value.split("@"))
            texts.append(" ; ".join(forms))
        return self.make(texts)


def _fields(texts: list[str]) -> Fault:
    fields = {"channel": texts, "token": texts, "url": {texts[-1]: texts}}
    errors = {"configuration": fields, "__all__": texts[:1]}
    return faults.raw(json.dumps(errors).encode(), code=400)


FAULTS: Final[Mapping[str, tuple[Rule, ...] | Echo]] = {
    "none": (),
    "fields echoed": Echo(_fields),
    "echoed by reads": Echo(_fields, reads=True),
    "detail echoed": Echo(lambda texts: faults.status(409, detail="; ".join(texts))),
    "list echoed": Echo(lambda texts: faults.raw(json.dumps([texts, texts]).encode(), code=422)),
    "throttled": Echo(lambda texts: faults.status(429, detail=texts[-1], retry_after="9999")),
    "key rejected": (Rule(fault=faults.status(401, detail=_QUOTED), times=None),),
    "role rejected": (Rule(fault=faults.status(403, detail=_QUOTED), times=None),),
    "not there": (_on(faults.raw(_PAGE, code=404, content_type="text/html"), "GET"),),
    "crash of the server": (_on(faults.raw(_PAGE, code=500, content_type="text/html"), "GET", 1),),
    "page instead of a list": (_on(faults.raw(_PAGE, content_type="text/html"), "GET"),),
    "page after a write": _writes(faults.raw(_PAGE, content_type="text/html", commit=True)),
    "no JSON": (_on(faults.raw(b'{"results": [' + _PAGE), "GET"),),
    "double key": (_on(faults.raw(f'{{"{c.BODY.value}":1,"{c.BODY.value}":2}}'.encode()), "GET"),),
    "too deep": (_on(faults.raw((_LIST % (_ROW % _DEEP)).encode()), "GET"),),
    "redirect": (Rule(fault=faults.redirect(_LOCATION), times=None),),
    "redirected write": _writes(faults.redirect(_LOCATION, 307)),
    "refused connection": (Rule(fault=faults.refuse(), times=None),),
    "lost response": tuple(_on(faults.drop(commit=True), each, 1) for each in ("POST", "PATCH")),
    "cut response": (_on(faults.truncate(), "PATCH", 1), _on(faults.reset(), "GET", 1)),
    "gateway": _writes(faults.html(502)),
}  # fmt: skip
"""Faults of requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line, with one of the words in `a|b`. `first` runs before it, without faults."""

    line: str
    connects: bool = True
    first: str = ""
    keys: str = ""

    def arguments(self, number: int) -> list[str]:
        choices = [word.split("|") for word in self.line.split()]
        return [each[number % len(each)] for each in choices]


COMMANDS: Final = {
    command.line: command
    for row in rows(Path(__file__).with_name("commands.yaml"))
    for command in [Command(**{**row, "line": row["line"].replace("THE_KEY", c.KEY.value)})]
}
"""Every command except the server, which prints its URL."""

VERBOSITIES: Final = ("", "--quiet", "-vv", "--debug")
SINKS: Final = ("pipe", "terminal", "actions")
READ_BACKS: Final = ("plain", "mask", "partial", "ciphertext", "plain-on-write")


class Done(NamedTuple):
    """The result of a run, its output, and how often the final filter masked something."""

    code: int
    printed: str
    redactions: int
    problem: BaseException | None


@dataclass
class World:
    """CloudTruth, GitHub and Slack on this machine, and a folder for each run."""

    folder: Path
    github: FakeGitHub
    slack: FakeSlack
    emulator: Emulator = field(default_factory=Emulator)
    urls: dict[str, str] = field(default_factory=dict)
    runs: int = 0
    codes: set[int] = field(default_factory=set)

    def handle(self, request: Request) -> Response:
        """Let one running server serve another object in each case."""
        response = self.emulator.handle(request)
        if response.status in (200, 201) and isinstance(self.emulator.faults, Echo):
            live = (canary.value for canary in c.LIVE)
            shown = (value for value in live if dump(value).encode() in response.body)
            self.emulator.faults.shown.update(shown)
        return response

    def run(
        self,
        command: Command,
        *,
        fault: str = "none",
        format: int = 0,
        verbosity: str = "",
        sink: str = "pipe",
        read_back: str = "plain",
        input: str = "good",
    ) -> tuple[Done, list[str], list[str]]:
        """Run a command with canaries; return its leaks, and sent values that were only read."""
        self.runs += 1
        home = self.folder / str(self.runs)
        planted = self._plant(home, input, declared=command.first != "-")
        behavior = Variant(
            read_back=read_back,
            types=("slack", "generic", "teams"),
            masked_fields=("token", "password", "url"),
            cookies=(f"sessionid={c.COOKIE.value}; Path=/",),
        )
        self.emulator = emulator = Emulator(behavior=behavior)
        _populate(emulator, shown=read_back == "plain")
        self.github.comments.clear()
        self.github.issues.clear()
        self.slack.posted.clear()
        environ = self.environ(home, sink, command.line)
        if command.first.strip("-"):
            perform(command.first.split(), environ, home, sink, "")
        failing = FAULTS[fault]
        is_echo = isinstance(failing, Echo)
        emulator.faults = replace(failing, shown=set()) if is_echo else Script(failing)
        arguments = [*command.arguments(format), *verbosity.split()]
        done = perform(arguments, environ, home, sink, command.keys)
        self.codes.add(done.code)
        posts = [*self.github.comments, *self.github.issues]
        hits = [
            *find(done.printed.encode(), "output"),
            *_in_files(home, planted),
            *find(json.dumps(posts).encode(), "GitHub"),
            *find(repr([decode(post["body"]) for post in posts]).encode(), "GitHub"),
            *find(json.dumps(self.slack.posted).encode(), "Slack"),
            *_in_chain(done.problem),
        ]
        sent = list(_only_read(emulator))
        emulator.store.close()
        return done, hits, sent

    def _plant(self, home: Path, input: str, *, declared: bool) -> dict[Path, bytes]:
        profiles = {
            "default": {"server_url": self.urls["CLOUDTRUTH_SERVER_URL"]},
            "other": {"api_key": c.OTHER_KEY.value},
        }
        files = {
            "secrets/audit": c.FILE_TOKEN.value + "\n",
            "old.yaml": GOOD.replace("env: SLACK_BOT_TOKEN", "env: OLD_TOKEN"),
            "event.json": event(),
            ".config/cloudtruth/cli.yml": json.dumps({"profiles": profiles}),
        }
        if declared:
            files["webhooks.yaml"] = INPUTS[input]
        return write(home, files)

    def environ(self, home: Path, sink: str, line: str) -> dict[str, str]:
        """Return the environment of a command line; one of `ci` runs in a GitHub job."""
        environ = {
            "HOME": str(home),
            **self.urls,
            "CLOUDTRUTH_API_KEY": c.KEY.value,
            "SLACK_BOT_TOKEN": c.ENV_TOKEN.value,
            "PAGER_PASSWORD": c.ENV_PASSWORD.value,
            "PAGER_URL": c.ENV_URL.value,
            "COPY_OF_KEY": c.KEY.value,
            "HTTPS_PROXY": f"http://user:{c.PROXY.value}@proxy.example.com:3128",
            "NO_PROXY": "127.0.0.1",
            "WEBHOOKS_ALLOW_SECRETS": "env:* file:*",
        }
        if line == "init":
            del environ["CLOUDTRUTH_API_KEY"]
        if sink == "actions" or line.startswith("ci "):
            name = "pull_request" if " plan" in line else "push" if " apply" in line else "schedule"
            job = runner_environ(home, name, "1" * 40)
            environ |= {**job, "CI": "true", "GITHUB_TOKEN": c.GITHUB.value}
        return environ


def event(text: str = "ann", title: str = "A change") -> str:
    """Return the event of a pull request; `text` and `title` are chosen by its author."""
    head = {"sha": "1" * 40, "ref": text, "repo": {"full_name": "acme/hooks"}}
    base = {"sha": "2" * 40, "ref": text}
    request = {"number": 1, "title": title, "head": head, "base": base, "user": {"login": text}}
    repository = {"default_branch": "main"}
    return json.dumps({"pull_request": request, "ref": "refs/heads/main", "repository": repository})


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start the servers."""
    with ExitStack() as stack:
        slack = FakeSlack(tokens={c.ENV_TOKEN.value: SCOPES})
        made = World(folder=folder, github=FakeGitHub(token=c.GITHUB.value), slack=slack)
        made.urls = {
            "CLOUDTRUTH_SERVER_URL": stack.enter_context(served(made)),
            "GITHUB_API_URL": stack.enter_context(served(made.github)),
            "WEBHOOKS_SLACK_URL": stack.enter_context(served(slack)),
        }
        yield made


def _populate(emulator: Emulator, *, shown: bool) -> None:
    """Create the webhooks. If secrets are hidden, a quote in a server error is undetectable."""
    store = emulator.store
    store.add_user(emulator.organization, key=c.KEY.value, role="OWNER", name="Canary")
    last_error = f"{c.LIVE_URL.value} answered 403 to {c.LIVE_TOKEN.value}"
    other = "rejected"
    if shown:
        last_error += f": {c.LIVE_PASSWORD.value} {quote(c.LIVE_BEARER.value)}"
        other += f" {c.OTHER_TYPE.value}"
    at = "2026-01-02T03:04:05Z"
    slack = {"channel": "#deploys", "username": "CloudTruth"}
    rows: Sequence[tuple[str, str, dict[str, Any], str | None]] = (
        ("Deploys", "slack", {**slack, "token": c.OLD_TOKEN.value, "sign": c.OTHER_FIELD.value},
         f"invalid_auth {c.OLD_TOKEN.value} {c.OTHER_FIELD.value[:14]} at {c.ECHO_URL.value}"),
        ("Audit", "slack", {**slack, "token": c.FILE_TOKEN.value}, None),
        ("Legacy", "slack", {**slack, "token": c.LIVE_TOKEN.value}, None),
        ("Pager", "generic", {"url": c.LIVE_URL.value, "username": "me", "verify": True,
                              "password": c.LIVE_PASSWORD.value, "token": c.LIVE_BEARER.value},
         last_error),
        ("Teams", "teams", {"url": c.LIVE_URL.value,
                            "deep": [{"a": c.OTHER_TYPE.value}, c.OTHER_TYPE.value]},
         other),
    )  # fmt: skip
    for name, kind, configuration, error in rows:
        store.save(
            {
                "name": name,
                "type": kind,
                "event_types": ["value_deleted"],
                "configuration": configuration,
                "organization": emulator.organization,
                "last_run": at,
                "last_error": error and {"timestamp": at, "code": "403", "text": error},
            }
        )


def perform(
    arguments: Sequence[str], environ: Mapping[str, str], home: Path, sink: str, keys: str
) -> Done:
    """Run a command like `reconciler.cli.main.run`; keep the exception and the count of the
    filter.
    """
    process, out, err = make_process(environ, home, keys, terminal=sink == "terminal")
    console = Console(process)
    problem: BaseException | None = None
    try:
        code = program().main([*arguments], "webhooks", standalone_mode=False, obj=console)
    except BaseException as error:
        problem = error
        code = handle_error(error, console)
    printed = out.getvalue() + err.getvalue()
    return Done(int(code or 0), printed, console.redactions, problem)


def _in_files(home: Path, planted: Mapping[Path, bytes]) -> Iterator[str]:
    for path in sorted(home.rglob("*")):
        yield from find(str(path.relative_to(home)).encode(), "the name of a file")
        if path.is_file() and (data := path.read_bytes()) != planted.get(path):
            yield from find(data, f"file {path.name}")


def _in_chain(problem: BaseException | None) -> Iterator[str]:
    """Search every exception of the chain, and the local variables of the program's frames.

    Frames of `reconciler.api` are omitted: values are revealed there to be sent, and the library
    below it holds them.
    """
    seen: list[BaseException] = []
    waiting = [problem]
    while waiting:
        error = waiting.pop()
        if error is None or error in seen:
            continue
        seen.append(error)
        waiting += [error.__cause__, error.__context__]
        names = (*getattr(error, "__dict__", ()), *getattr(error, "__slots__", ()), "args")
        texts = [str(error), repr(error), *(repr(getattr(error, name, None)) for name in names)]
        yield from find("\n".join(texts).encode("utf-8", "replace"), type(error).__name__)
        yield from _in_frames(error.__traceback__)


def _in_frames(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        frame = trace.tb_frame
        path = Path(frame.f_code.co_filename).resolve()
        if path.is_relative_to(_PACKAGE) and not path.is_relative_to(_REVEALING):
            for name, value in frame.f_locals.items():
                shown = f"{name} = {value!r}".encode("utf-8", "replace")
                where = f"{path.relative_to(_PACKAGE)}:{trace.tb_lineno} {name}"
                yield from find(shown, where)
        trace = trace.tb_next


_READ: Final = (
    c.OLD_TOKEN, c.LIVE_TOKEN, c.LIVE_PASSWORD, c.LIVE_BEARER, c.LIVE_URL, c.LIVE_USER,
    c.OTHER_TYPE, c.OTHER_FIELD, c.ECHO, c.COOKIE, c.LOCATION, c.BODY, c.KEY, c.OTHER_KEY,
)  # fmt: skip
_MASKS: Final = ("***", "gAAAAA")


def _only_read(emulator: Emulator) -> Iterator[str]:
    for entry in emulator.log:
        text = f"{entry.path}?{entry.query}\n{entry.body}"
        for each in _READ:
            if each.core in text or json.dumps(each.core)[1:-1] in text:
                yield f"{each.place} in {entry.method} {entry.path}"
        for mask in _MASKS:
            if mask in entry.body:
                yield f"a mask in {entry.method} {entry.path}"


Case = dict[str, Any]


def pairwise(factors: Mapping[str, Sequence[Any]], *, seed: int = 1) -> list[Case]:
    """Return cases, with one value per factor, that cover all pairs of values.

    Greedy: each case starts with a missing pair and takes, factor by factor, the value that covers
    most of the missing ones.
    """
    choose = random.Random(seed)
    missing = {
        frozenset({(one, a), (two, b)})
        for one, two in combinations(factors, 2)
        for a in factors[one]
        for b in factors[two]
    }
    cases: list[Case] = []
    while missing:
        case: Case = dict(min(missing, key=lambda pair: sorted(map(repr, pair))))
        rest = [name for name in factors if name not in case]
        choose.shuffle(rest)
        for name in rest:
            values = list(factors[name])
            choose.shuffle(values)
            case[name] = max(
                values,
                key=lambda value: sum(
                    frozenset({(name, value), other}) in missing for other in case.items()
                ),
            )
        missing -= {frozenset(pair) for pair in combinations(case.items(), 2)}
        cases.append({name: case[name] for name in factors})
    return cases


def cases() -> list[Case]:
    """Return all cases: offline with every file, online with every fault."""
    shared: dict[str, Any] = {"format": range(3), "verbosity": VERBOSITIES, "sink": SINKS}
    offline = [name for name, each in COMMANDS.items() if not each.connects]
    online = [name for name, each in COMMANDS.items() if each.connects]
    # An invalid file ends a run before it connects, so one online command is enough.
    reading = {"command": [*offline, "plan --format text|json|markdown"], "input": tuple(INPUTS)}
    connecting = {
        "command": online,
        "fault": tuple(FAULTS),
        "read_back": READ_BACKS,
        "input": ("good", "literals", "not set"),
    }
    return [*pairwise({**reading, **shared}), *pairwise({**connecting, **shared})]


def some(chosen: list[Case], every: int) -> list[Case]:
    """Return one case in `every`, and enough others that each value of each factor is in one."""
    kept = chosen[::every]
    seen = {pair for case in kept for pair in case.items()}
    for case in chosen:
        if not case.items() <= seen:
            kept.append(case)
            seen.update(case.items())
    return kept


def leaks(world: World, chosen: list[Case]) -> Iterator[str]:
    """Run cases and yield a line for every leak."""
    for case in chosen:
        done, hits, sent = world.run(**{**case, "command": COMMANDS[case["command"]]})
        yield from (f"{hit} (exit {done.code}) {case}" for hit in dict.fromkeys(hits))
        yield from (f"sent: {each} {case}" for each in sent)
        if done.redactions:
            yield f"the final filter masked {done.redactions} (exit {done.code}) {case}"
        if done.code == 70:
            yield f"a bug: {done.problem!r} {case}"
