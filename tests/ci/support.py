"""A client of the fake GitHub, and a repository in which to run `webhooks ci`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.api.connections import InProcess
from reconciler.api.origin import Network
from reconciler.ci.github import GitHub
from reconciler.ci.workflows import RequiredSecrets, Setup, workflows
from reconciler.emulator.messages import Request, Response
from reconciler.model import Secret, SecretRef
from tests.ci.actions import all_filled, evaluate, filled
from tests.ci.fake_github import FakeGitHub, Job, runner_environ
from tests.cli.conftest import perform
from tests.emulated.emulator import Emulator
from tests.emulated.variant import Variant
from tests.folders import ROOT, commit, git, write
from tests.ports import VirtualClock
from tests.served import PauseAtWrite, served
from tests.waiting import TIMEOUT

KEY = "ct-canary-key-0123456789"
SLACK = "xoxb-canary-0123456789"
SETUP = Setup(
    package="cloudtruth-webhooks",
    organizations=(RequiredSecrets(references=(SecretRef(scheme="env", name="SLACK_BOT_TOKEN"),)),),
)


def client(fake: FakeGitHub, **environ: str) -> closing[GitHub]:
    """Return a client of `fake` for the job described by `environ`, to use in a `with`."""
    adapter = InProcess(fake.handle, request=Request)
    github = GitHub(
        repository=fake.repository,
        token=Secret(fake.token),
        network=Network(clock=VirtualClock(), environment=environ, adapter=adapter),
        clean=str,
    )
    return closing(github)


Event = Mapping[str, Any]
Requested = Callable[[str, str], bool]
"""Whether a request, by method and path, is the one to wait for."""

PUSH: Final = {"ref": "refs/heads/main", "repository": {"default_branch": "main"}}
"""The event of a push to main, or of a manual start there."""


@dataclass
class Done:
    """The result of a step."""

    code: int
    stdout: str
    stderr: str
    outputs: dict[str, str]
    summary: str


def only(found: Mapping[str, Done]) -> Done:
    """Return the step of the only organization."""
    (done,) = found.values()
    return done


@dataclass
class World:
    """A repository in git and on GitHub, and a CloudTruth organization.

    `secrets` are those of each environment that is not among `environments`. `queue` is what GitHub
    supports in a concurrency group. `requests` counts those of each job to GitHub.
    """

    folder: Path
    github: FakeGitHub
    emulator: Emulator
    hold: PauseAtWrite
    url: str = ""
    secrets: dict[str, str] = field(
        default_factory=lambda: {"CLOUDTRUTH_API_KEY": KEY, "SLACK_BOT_TOKEN": SLACK}
    )
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    setup: Setup = SETUP
    file: str = "webhooks.yaml"
    queue: str = "max"
    shell: bool = False
    runs: int = 0
    requests: list[int] = field(default_factory=list)

    @property
    def work(self) -> Path:
        """The checkout."""
        return self.folder / "work"

    def handle(self, request: Request) -> Response:
        """Serve CloudTruth and an enterprise server of GitHub, which have different paths."""
        service = self.emulator if request.path.startswith("/api/v1/") else self.github
        return service.handle(request)

    @property
    def urls(self) -> dict[str, str]:
        """The addresses of both."""
        return {"CLOUDTRUTH_SERVER_URL": self.url, "GITHUB_API_URL": f"{self.url}/api/v3"}

    # Actions of users.

    def git(self, *arguments: str) -> str:
        return git(self.work, *arguments)

    def put(self, files: Mapping[str, str]) -> str:
        """Write and commit files; return the commit."""
        write(self.work, files)
        return self.commit()

    def declare(
        self, *names: str, head: str = "", version: int | None = None, **channels: str
    ) -> str:
        """Commit a file with a Slack webhook for each name; `version` is that of the token."""
        token = "env: SLACK_BOT_TOKEN" + (f", version: {version}" if version is not None else "")
        lines = [head] if head else []
        lines += [f"defaults: {{type: slack, configuration: {{token: {{{token}}},"]
        lines += ["  username: CT, channel: general}}", "webhooks:"]
        for name in names:
            channel = channels.get(name, "general")
            lines.append(
                f"  - {{name: {json.dumps(name)}, event_types: [value_created], "
                f"configuration: {{channel: {json.dumps(channel)}}}}}"
            )
        if not names:
            lines[-1] = "webhooks: []"
        return self.put({"webhooks.yaml": "\n".join(lines) + "\n"})

    def topic(self, number: int, base: str = "main") -> None:
        """Check out the branch of a pull request, which is created if it does not exist."""
        branch = f"topic-{number}"
        if branch not in self.git("branch", "--format=%(refname:short)").split():
            self.git("branch", branch, base)
        self.git("checkout", "-q", branch)

    def propose(
        self,
        number: int,
        *names: str,
        base: str = "main",
        plan: bool = True,
        files: Mapping[str, str] | None = None,
        **declared: Any,
    ) -> Done:
        """Open or update a pull request that declares `names`, or changes `files`, and plan it."""
        self.topic(number, base)
        self.put(files) if files else self.declare(*names, **declared)
        return self.pull(number, branch=base) if plan else Done(0, "", "", {}, "")

    def commit(self, message: str = "change") -> str:
        return commit(self.work, message)

    def live(self) -> dict[str, str]:
        """Return the channel of each live webhook by its name."""
        rows = self.emulator.store.webhooks(self.emulator.organization)
        return {row["name"]: row["configuration"]["channel"] for row in rows}

    def token(self, name: str) -> str:
        """Return the Slack token of a webhook as CloudTruth stores it."""
        return str(self.emulator.webhook(name)["configuration"]["token"])

    def writes(self) -> list[str]:
        """Return method and path of each write that CloudTruth received."""
        log = self.emulator.log
        return [f"{each.method} {each.path}" for each in log if each.method != "GET"]

    # Actions of GitHub.

    def apply_main(self, *names: str, **declared: Any) -> None:
        """Apply what main declares, or is made to declare."""
        if names:
            self.declare(*names, **declared)
        done = self.push(WEBHOOKS_REVIEWED_PLAN="ignore")
        assert done.code == 0, done.stderr + done.stdout

    def pull(self, number: int = 1, **given: str) -> Done:
        """Run the plan workflow for a pull request of the checked-out branch.

        `given` are variables, in upper case, and what `opened` takes.
        """
        environ = {name: given.pop(name) for name in list(given) if name.isupper()}
        return only(self.run("plan", "pull_request", self.opened(number, **given), **environ))

    def opened(
        self, number: int = 1, *, branch: str = "main", base: str = "", home: str = ""
    ) -> dict[str, Any]:
        """Open a pull request of the checked-out branch, and return its event.

        `base` is the commit of `branch` that the event names, `home` the repository it comes from.
        """
        head = self.git("rev-parse", "HEAD")
        known = self.github.pulls.get(number)
        if known is None or known["state"] == "open":
            self.github.open(number, head, base=branch)
        return {
            "pull_request": {
                "number": number,
                "merged_at": self.github.pulls[number]["merged_at"],
                "head": {"sha": head, "repo": {"full_name": home or self.github.repository}},
                "base": {"ref": branch, "sha": base or self.git("rev-parse", branch)},
                "user": {"login": "ann"},
            },
            "repository": {"default_branch": "main"},
            "sender": {"login": "ann"},
        }

    def squash(self, number: int, *, into: str = "main") -> str:
        """Squash a pull request; return the new commit."""
        self.git("checkout", "-q", into)
        self.git("merge", "-q", "--squash", f"topic-{number}")
        commit = self.commit(f"squashed {number}")
        self.github.merge(number, commit, base=into)
        return commit

    def merged(self, number: int, *names: str, **changes: Any) -> str:
        """Open a pull request as `propose` does, and squash it; return the commit."""
        self.propose(number, *names, **changes)
        return self.squash(number)

    def push(self, *, at: str = "", before: str = "", **environ: str) -> Done:
        """Run the apply workflow after a push to main, on the tip of main or on the commit `at`.

        `before` is the commit before the push.
        """
        self.git("checkout", "-q", at or "main")
        done = only(self.run("apply", "push", {**PUSH, "before": before}, **environ))
        if at:
            self.git("checkout", "-q", "main")
        return done

    def follow(self, text: str) -> Done:
        """Run the last `gh workflow run` command of a comment, an issue or a log in a shell."""
        given = self.inputs_of(text, "apply-webhooks.yml")
        return only(self.run("apply", "workflow_dispatch", PUSH, inputs=given))

    def inputs_of(self, text: str, workflow: str) -> dict[str, str]:
        """Return the inputs in the last `gh workflow run` command of a text; check out its branch.

        It must start `workflow`.
        """
        command = re.findall(r"gh workflow run [^`\n]*", text)[-1].rstrip(")")
        shell = ["bash", "-c", f"printf '%s\\0' {command}"]
        words = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.split("\0")
        assert words[:4] == ["gh", "workflow", "run", workflow]
        assert words[4:8] == ["--repo", self.github.repository, "--ref", "main"]
        self.git("checkout", "-q", "main")
        return dict(pair.split("=", 1) for pair in words[9:-1:2])

    def act(self, job: Mapping[str, Any], name: str, event: Event, **inputs: str) -> Done:
        """Run the action in the last step of a job, as action.yml does."""
        temp = self._temp()
        (temp / "event.json").write_text(json.dumps(event))
        action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
        step = job["steps"][-1]
        contexts = {
            "github": {"token": self.github.token},
            "inputs": {name.replace("_", "-"): value for name, value in inputs.items()},
            "secrets": self.secrets,
        }
        defaults = {key: value.get("default", "") for key, value in action["inputs"].items()}
        values = all_filled({**defaults, **step["with"]}, contexts)
        environ = all_filled(step["env"], contexts)
        environ |= all_filled(action["runs"]["steps"][-1]["env"], {"inputs": values})
        number = event.get("pull_request", {}).get("number")
        environ["GITHUB_REF"] = f"refs/pull/{number}/merge" if number else "refs/heads/main"
        environ["GITHUB_WORKFLOW_REF"] = (
            "x/y/.github/workflows/webhooks-and-drift.yml@refs/heads/main"
        )
        with self._merge_commit(event["pull_request"]) if number else nullcontext():
            commit = self.git("rev-parse", "HEAD")
            known = runner_environ(temp, name, commit, self.runs)
            return self._done("exec webhooks ci", {**known, **self.urls, **environ}, temp)

    def drift(self, **environ: str) -> Done:
        """Run the drift workflow."""
        return only(self.run("drift", "schedule", {}, **environ))

    def run(self, workflow: str, name: str, event: Event, **more: Any) -> dict[str, Done]:
        """Run a workflow like GitHub, and return the step of each job by its environment.

        The result has the jobs that ended: none if the conditions of the workflow are not met.
        Those that wait for a reviewer, or behind another job, end in `approve`. `more` is what
        `run_here` takes.
        """
        pull = event.get("pull_request")
        with self._merge_commit(pull) if pull else nullcontext():
            return self.run_here(workflow, name, event, **more)

    @contextmanager
    def _merge_commit(self, pull: Mapping[str, Any]) -> Iterator[None]:
        """Check out the merge of a pull request into the newest commit of its target branch.

        A closed one has no new merge, and a clone without the base of the event has no parents.
        """
        branch = self.git("rev-parse", "--abbrev-ref", "HEAD")
        is_open = self.github.pulls[pull["number"]]["state"] == "open"
        if is_open and pull["base"]["sha"] in self.git("rev-list", "--all"):
            self.git("checkout", "-q", "--detach", pull["base"]["ref"])
            self.git("update-ref", f"refs/remotes/origin/{pull['base']['ref']}", "HEAD")
            self.git("merge", "-q", "--no-ff", "-m", "merge", pull["head"]["sha"])
        yield
        self.git("checkout", "-q", branch)

    def run_here(
        self, workflow: str, name: str, event: Event, inputs: Event | None = None, **environ: str
    ) -> dict[str, Done]:
        """Run a workflow on the commit that is checked out."""
        needs: dict[str, Any] = {"result": "skipped", "outputs": {}}
        jobs = self.workflow("webhooks")["jobs"]
        contexts = self._contexts(workflow, name, event, inputs or {})
        if evaluate(jobs["environments"]["if"], contexts):
            done = self._step("environments", contexts, **environ)
            needs = {"result": "failure" if done.code else "success", "outputs": done.outputs}
        contexts = {**contexts, "needs": {"environments": needs}, "cancelled": lambda: False}
        job = jobs["webhooks"]
        if not evaluate(job["if"].strip(), contexts):
            return {}
        for each in filled(job["strategy"]["matrix"], contexts)["include"]:
            known = {**contexts, "matrix": each}
            step = Job(
                filled(job["environment"]["name"], known),
                partial(self._step, "webhooks", known, **environ),
            )
            group = filled(job["concurrency"]["group"], known)
            self.github.enqueue(step, group, queue=max(job["concurrency"]["queue"], self.queue))
        return self.github.run_jobs()

    def approve(self, environment: str) -> Done:
        """Approve the job that waits for the reviewers of an environment, and run it.

        Like every job of apply, it checks out the tip of the branch when it starts.
        """
        self.github.approve(environment)
        self.git("checkout", "-q", "main")
        done: Done = self.github.run_jobs()[environment]
        return done

    def queue_up(self, *numbers: int) -> Done:
        """Run the plan workflow for a group of pull requests in the merge queue."""
        self.git("checkout", "-q", "-B", "queue", "main")
        for number in numbers:
            self.git("merge", "-q", "--no-ff", "-m", f"queue {number}", f"topic-{number}")
            name = f"refs/heads/gh-readonly-queue/main/pr-{number}-{self.git('rev-parse', 'main')}"
            self.github.queue[name] = self.git("rev-parse", "HEAD")
        base = self.git("rev-parse", "main")
        group = {"base_ref": "refs/heads/main", "head_ref": name, "base_sha": base}
        event = {"merge_group": group, "repository": {"default_branch": "main"}}
        return only(self.run("plan", "merge_group", event))

    def interrupted(
        self, workflow: str, name: str, event: Event, *, at: Requested | None = None
    ) -> Done:
        """Run a step in a shell and interrupt it: at a request to GitHub, or at its first write."""
        contexts = self._contexts(workflow, name, event, {})
        script, environment, temp = self._prepared("webhooks", contexts)

        def pause(method: str, path: str) -> None:
            if at is not None and at(method, path):
                self.hold.stop()

        self.github.fault = pause
        if at is None:
            self.hold.after(1)
        else:
            self.hold.clear()
        process = self._start(script, environment)
        self.hold.wait(process)
        process.send_signal(signal.SIGINT)
        self.github.fault = lambda method, path: None
        self.hold.release()
        return self._ended(process, temp)

    def not_run(self, workflow: str, run: str, environment: str = "", caller: str = "") -> Done:
        """Run the step that reports a job that failed before its command.

        The calling workflow may have another name.
        """
        called = self.workflow("webhooks")["jobs"]["webhooks"]
        step = called["steps"][-1]
        contexts = self._contexts(workflow, "push", {}, {})
        contexts["github"]["run_id"] = run
        contexts["matrix"] = {"environment": environment}
        for is_cancelled in (True, False):
            states = {"cancelled": is_cancelled, "failure": not is_cancelled}
            known = {**contexts, **{name: partial(bool, is_so) for name, is_so in states.items()}}
            assert evaluate(step["if"], known)
        environ = self._variables(called, step, contexts)
        environ |= {**self.urls, "GITHUB_REPOSITORY": self.github.repository}
        caller = caller or f"{workflow}-webhooks.yml"
        environ["GITHUB_WORKFLOW_REF"] = f"x/y/.github/workflows/{caller}@refs/a@b"
        if shutil.which("gh") is None:
            environ["PATH"] = f"{Path(__file__).parent / 'stand_ins'}:{os.environ['PATH']}"
        return self._ended(self._start(step["run"], environ), self._temp())

    def workflow(self, name: str) -> Any:
        """Return a workflow of `init --github`."""
        return _parsed(workflows(self.setup)[f".github/workflows/{name}.yml"])

    def _contexts(self, workflow: str, name: str, event: Event, inputs: Event) -> dict[str, Any]:
        """Return the contexts for expressions of the called workflow."""
        ref = event.get("ref", "refs/heads/main")
        if "pull_request" in event:
            ref = f"refs/pull/{event['pull_request']['number']}/merge"
        elif name == "merge_group":
            ref = event["merge_group"]["head_ref"]
        (job,) = self.workflow(f"{workflow}-webhooks")["jobs"].values()
        github = {
            "event": event,
            "event_name": name,
            "ref": ref,
            "repository": self.github.repository,
            "run_id": "",
            "server_url": "https://github.com",
            "token": self.github.token,
            "workflow": workflow,
        }
        called = self.workflow("webhooks")[True]["workflow_call"]["inputs"]
        given = all_filled(job["with"], {"inputs": inputs})
        given = {**{key: each.get("default", "") for key, each in called.items()}, **given}
        return {"github": github, "inputs": given | {"file": self.file}, "passed": job["secrets"]}

    def _step(self, job: str, contexts: Mapping[str, Any], **environ: str) -> Done:
        script, environment, temp = self._prepared(job, contexts)
        before = len(self.github.log)
        done = self._done(script, environment | environ, temp)
        self.requests.append(len(self.github.log) - before)
        return done

    def _prepared(self, name: str, contexts: Mapping[str, Any]) -> tuple[str, dict[str, str], Path]:
        """Return the script of a job's step, its environment and its folder for files."""
        job, github = self.workflow("webhooks")["jobs"][name], contexts["github"]
        environment = filled(job.get("environment", {"name": ""})["name"], contexts)
        secrets = self.environments.get(environment, self.secrets)
        secrets = {key: value for key, value in secrets.items() if key in contexts["passed"]}
        temp = self._temp()
        (temp / "event.json").write_text(json.dumps(github["event"]))
        (step,) = (each for each in job["steps"] if each.get("run", "").startswith("exec "))
        called_by = f"{github['workflow']}-webhooks.yml"
        commit = self.git("rev-parse", "HEAD")
        variables = {
            **runner_environ(temp, github["event_name"], commit, self.runs),
            **self.urls,
            "GITHUB_REF": github["ref"],
            "GITHUB_WORKFLOW_REF": f"x/y/.github/workflows/{called_by}@refs/heads/main",
        }
        variables |= self._variables(job, step, {**contexts, "secrets": secrets})
        return step["run"], variables, temp

    def _variables(
        self, job: Mapping[str, Any], step: Mapping[str, Any], contexts: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return the variables of the workflow, a job of it, and a step."""
        env = {**self.workflow("webhooks")["env"], **job.get("env", {}), **step["env"]}
        return all_filled(env, contexts)

    def call(self, what: str, **environ: str) -> Done:
        """Run `webhooks ci` without an event, with options that no workflow uses."""
        contexts = self._contexts("apply", "", {}, {})
        _, environment, temp = self._prepared("webhooks", contexts)
        environment.pop("WEBHOOKS_COMMAND")
        return self._done(f"exec webhooks ci {what}", environment | environ, temp)

    def _temp(self) -> Path:
        self.runs += 1
        temp = self.folder / f"run-{self.runs}"
        temp.mkdir()
        return temp

    def _done(self, script: str, environ: dict[str, str], temp: Path) -> Done:
        if self.shell:
            return self._ended(self._start(script, environ), temp)
        words = script.removeprefix("exec webhooks ").split()
        ran = perform(*words, directory=self.work, **environ)
        return _done(ran.code, ran.out, ran.err, temp)

    def script(self, text: str, environ: dict[str, str]) -> Done:
        """Run a script in the checkout, in a shell as a runner starts it."""
        return self._ended(self._start(text, environ), self._temp())

    def _start(self, script: str, environ: dict[str, str]) -> subprocess.Popen[str]:
        measured = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=self.work,
            env={"PATH": path, **measured, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _ended(self, process: subprocess.Popen[str], temp: Path) -> Done:
        with process:
            stdout, stderr = process.communicate(timeout=TIMEOUT)
        return _done(process.returncode, stdout, stderr, temp)


def plant(checkout: Path) -> Path:
    """Write a file for each module that a program could import by mistake into a checkout.

    Returns the file in which a module records that it ran.
    """
    ran = checkout.parent / "ran"
    others = ("click", "httpx", "pip", "reconciler", "sitecustomize", "usercustomize", "yaml")
    text = f"open({str(ran)!r}, 'a').write(__name__ + '\\n')\n"
    write(checkout, {f"{name}.py": text for name in (*sys.stdlib_module_names, *others)})
    return ran


@contextmanager
def world(folder: Path, **choices: Any) -> Iterator[World]:
    """Start CloudTruth and GitHub on this machine and create a repository with one commit."""
    hold = PauseAtWrite()
    emulator = Emulator(behavior=Variant(**{"any_key": True, **choices}), listener=hold)
    made = World(folder, FakeGitHub(), emulator, hold)
    made.work.mkdir()
    made.git("init", "-q", "-b", "main")
    made.declare("Audit")
    made.github.git = made.git
    with closing(emulator.store), served(made) as made.url:
        yield made
        hold.release()
        made.github.judge()


@cache
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def _done(code: int, stdout: str, stderr: str, temp: Path) -> Done:
    """Read the files that a step wrote, the outputs like the runner."""
    paths = (temp / "output", temp / "summary")
    outputs, summary = (path.read_text("utf-8") if path.exists() else "" for path in paths)
    parts = re.findall(r"^(\S+)<<(\S+)\n(.*?)\n\2$", outputs, re.DOTALL | re.MULTILINE)
    return Done(code, stdout, stderr, {name: value for name, _, value in parts}, summary)
