"""A run of one command: its options, files, messages and results."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from reconciler import workflow
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, NotConfirmedError, ReconcilerError
from reconciler.findings import Finding, Severity
from reconciler.render import RENDERERS, STATE_RENDERERS, View
from reconciler.render.quote import quote, repeated
from reconciler.source.files import (
    DEFAULT_FILE,
    DEFAULT_FILES,
    MAX_FILE_BYTES,
    STDIN,
    STDIN_NAME,
    default_path,
)
from reconciler.source.history import git_in, is_revision
from reconciler.source.output import FileKind, write_atomically

if TYPE_CHECKING:
    from reconciler.api.wire import Redactor
    from reconciler.model import Secret
    from reconciler.report import Checklist
    from reconciler.settings import Setting, Settings
    from reconciler.workflow.inputs import OrganizationFiles


class Session:
    """The argument of every command: the options, and the sources of files and secrets.

    `options` has those of variables, too, and `command_line` has not.
    `key_source` is where the API key of a run of one organization came from, None before a
    connection.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.process = console.process
        self.options = console.options
        self.command_line = console.command_line
        self.key_source: str | None = None
        self._shown_findings: set[Finding] = set()
        self._shown_details: set[str] = set()

    @cached_property
    def inputs(self) -> workflow.Inputs:
        """The sources of files and secrets."""
        options, process = self.options, self.process
        return workflow.Inputs(
            directory=process.directory,
            environ=process.environ,
            # One byte more than is allowed, so that a longer input is noticed.
            stdin=lambda: process.stdin.buffer.read(MAX_FILE_BYTES + 1),
            paths=self.files,
            selected=self.organizations,
            allow_secrets=tuple(options.get("allow_secret", ())),
            # In CI a pull request may refer to any variable of the job.
            require_allow_list=self.in_ci and not self.local,
            allow_literals=bool(options.get("allow_literal_secrets")),
            strict=bool(options.get("strict")),
            policies=tuple(options.get("policy", ())),
            hide=self.console.hide,
            redacted=self.console.redacted,
            git=git_in(process.directory),
        )

    @cached_property
    def redactor(self) -> Redactor:
        """What keeps the secrets of all connections of this process out of errors."""
        # Imported here, because only commands that connect need it.
        from reconciler.api.wire import Redactor

        return Redactor()

    @cached_property
    def settings(self) -> Settings:
        """The settings of a connection without files."""
        return self.settings_of(None)

    def settings_of(self, files: OrganizationFiles | None) -> Settings:
        """Return the settings of the connection for files. With -v, print each with its source.

        Raises UsageError, CredentialError, and ConfigurationError for a key that files must not
        name.
        """
        # Imported here, because only commands that connect have settings.
        from reconciler.settings import Setting, resolve

        profile = key = None
        if files is not None and not self.local:
            declared = files.key()
            if files.profile:
                profile = Setting(value=files.profile, source=f"profile in {files.paths[0]}")
            if declared is not None:
                key = Setting(value=declared, source=f"api_key in {files.paths[0]}")
        settings = resolve(
            self.command_line,
            self.process.environ,
            platform=self.process.platform,
            directory=self.process.directory,
            local=self.local,
            file_profile=profile,
        )
        if key is not None:
            settings = settings._replace(key=key)
        if self.console.verbosity > 0:
            self._show_settings(settings)
        return settings

    def keys_of(self, files: OrganizationFiles) -> Iterator[Secret | None]:
        """Yield the API keys that files name, also if their other settings are invalid.

        Raises CredentialError and ConfigurationError for the key of the files.
        """
        from reconciler.settings import profile_key

        if files.profile and not self.local:
            with suppress(ReconcilerError):  # then there is nothing to protect
                yield profile_key(files.profile, self.process.environ, self.process.platform)
        yield files.key()

    def _show_settings(self, settings: Settings) -> None:
        """Print each setting with its source, once: most organizations share most settings."""
        for name in ("server_url", "profile", "key", "timeout", "deadline"):
            setting: Setting[Any] | None = getattr(settings, name)
            if setting is None or not setting.value:
                continue
            value = setting.value
            shown = f"{value:g} s" if isinstance(value, float) else quote(str(value))
            self._show_once(f"{name.replace('_url', ' URL')}: {shown} (from {setting.source})")

    def _show_once(self, text: str) -> None:
        if text not in self._shown_details:
            self._shown_details.add(text)
            self.console.info(text)

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the configuration; empty means webhooks.yaml."""
        return tuple(self.options.get("file", ()))

    @property
    def local(self) -> bool:
        """Whether the emulator in this process is used instead of CloudTruth."""
        return bool(self.options.get("local") or self.options.get("local_db"))

    @property
    def in_ci(self) -> bool:
        """Whether the command runs in a CI job."""
        return self.process.environ.get("CI", "").strip().lower() not in ("", "0", "false")

    @property
    def organizations(self) -> tuple[str, ...]:
        """The names, ids or globs of --organization."""
        return tuple(self.options.get("organization", ()))

    def words(self, options: Iterable[click.Parameter], **other: Any) -> tuple[str, ...]:
        """Return the arguments that reproduce `options` on a command line, not yet quoted.

        The values in `other` replace those of the command line.
        """
        # Not those of variables: a suggested command runs in the same environment.
        values = {**self.command_line, **other}
        words: list[str] = []
        for option in options:
            value = values.get(option.name or "")
            # Not by its truth: `--allow-deletes 0` is one of the options.
            if value in (None, "", ()) or value is False or not isinstance(option, click.Option):
                continue
            name = option.opts[0]
            if option.is_flag:
                words.append(name)
            elif option.multiple:
                words += repeated(name, value)
            else:
                words += [name, f"{value:g}" if isinstance(value, float) else str(value)]
        return tuple(words)

    def suggest(
        self, options: Iterable[click.Parameter], files: Iterable[str], **other: Any
    ) -> None:
        """Give suggested commands `options` of the command line, with these files.

        The values in `other` replace those of the command line.
        """
        # Standard input has been read, so that a suggested command cannot read it again.
        named = tuple(path for path in files if path not in (STDIN, STDIN_NAME))
        if named == (DEFAULT_FILE,):
            named = ()
        self.console.connection = self.words(options, **{**other, "file": named})

    def path(self, name: str | None) -> Path | None:
        """Return the path of an output file; None without a file and for standard output."""
        if name in (None, "-"):
            return None
        return self.process.directory / str(name)

    def write_file(self, name: str, text: str, *, over: FileKind | None) -> None:
        """Write a file of the repository and print its name; one that is up to date is kept.

        Raises UsageError for an existing file that is not of the kind `over`.
        """
        path = self.process.directory / name
        verb = "wrote"
        if path.exists():
            verb = "updated"
            if path.read_text("utf-8", "replace") == text:
                self.console.info(f"kept {name}, which is up to date")
                return
        write_atomically(path, text.encode(), over=over, parents=True)
        path.chmod(0o644)  # a file of the repository, without secrets
        self.console.result(f"{verb} {name}")

    def load_all(self, apply_options: tuple[str, ...] | None = None) -> tuple[workflow.Source, ...]:
        """Read and check the files of all organizations. Print warnings, and with -v notes.

        `apply_options` are the options for suggested commands. Raises ConfigurationError.
        """
        sources = workflow.load_all(self.inputs._replace(apply_options=apply_options))
        names = self.show_loaded(sources)
        self._warn_of_gone(sources, names)
        # Both exist after a rename that left a copy, and edits of the second one have no effect.
        first, second, _ = DEFAULT_FILES
        if not self.files and first in names and os.path.lexists(self.process.directory / second):
            self.console.message("note", f"{second} is not read, because {first} exists")
        return sources

    def show_loaded(self, sources: Iterable[workflow.Source]) -> Collection[str]:
        """Print the findings that are new, and with -v the names of the files; return these."""
        # Files of several organizations may have the same parents, so everything is shown once.
        names: dict[str, None] = {}
        findings: dict[Finding, None] = {}
        for source in sources:
            files = source.checked.loaded
            names |= dict.fromkeys((*files.documents, *files.parents))
            findings |= dict.fromkeys(files.findings)
        # After `drift --accept` the files have the same findings again, on other lines.
        new = [finding for finding in findings if _unplaced(finding) not in self._shown_findings]
        self._shown_findings.update(map(_unplaced, new))
        if self.console.verbosity > 0:
            self.warn(new)
            for name in names:
                self._show_once(f"read {quote(name)}")
        else:
            self.warn(finding for finding in new if finding.severity is not Severity.NOTE)
        return names

    def _warn_of_gone(self, sources: Iterable[workflow.Source], names: Collection[str]) -> None:
        """Print a warning for each organization that the files, which have `names`, lack now."""
        inputs, directory = self.inputs, self.process.directory
        # A saved plan and a commit have all files, and some organizations may be left out.
        if inputs.parsed is not None or inputs.commit is not None or inputs.selected:
            return
        paths = self.files or (default_path(directory),)
        now = {source.files.organization: source.files.keys for source in sources}
        # A file that is named and gone is an error.
        if all(os.path.isfile(directory / path) for path in paths) and now.keys() == {None}:
            return
        # Imported here, because many runs have one file without an organization.
        from reconciler.source.elsewhere import organizations_gone

        base = self.command_line.get("base", ())
        revision = base[0] if is_revision(base, directory) else "HEAD"
        self.warn(organizations_gone(paths, names, now, directory, inputs.git, revision))

    def warn(self, findings: Iterable[Finding]) -> None:
        """Print findings to standard error."""
        shown = tuple(findings)
        if shown:
            self.console.record_rules(shown)
            view = self.view(self.process.stderr)
            self.console.info(RENDERERS["text"]().render_findings(shown, view))

    def show(
        self, text: str, *, failed: bool = False, to_stderr: bool = False, required: bool = True
    ) -> bool:
        """Print a result; return False if it was lost. `required` is as for `Console.result`.

        With --quiet only failures and documents are printed. With `to_stderr` it goes to standard
        error, because standard output has a document.
        """
        if to_stderr:
            self.console.info(text)
            return True
        document = self.options.get("format", "text") != "text"
        return self.console.result(text, essential=failed or document, required=required)

    def show_checks(self, checklist: Checklist, format: str) -> ExitCode:
        """Print checks; with --strict warnings are failures. Return the exit code."""
        if self.options.get("strict"):
            checklist = checklist.warnings_as_failures()
        text = STATE_RENDERERS[format]().render_checks(checklist, self.view())
        self.show(text, failed=checklist.exit_code != 0)
        return checklist.exit_code

    def view(self, stream: TextIO | None = None) -> View:
        """Return the view of results, or that of messages in `stream`."""
        stream = stream or self.process.stdout
        view = self.console.view(stream)
        # On a terminal, a user confirms the plan; the digest is for a later apply.
        shows_digest = self.in_ci or view.verbosity > 0 or not stream.isatty()
        return view._replace(key_source=self.key_source, shows_digest=shows_digest)

    def confirm(
        self, question: str, *, consequence: str = "nothing was written", note: str = ""
    ) -> None:
        """Ask for confirmation. Raises NotConfirmedError for any answer but yes.

        Without a terminal there is no answer. `consequence` completes the error message, and `note`
        its hint.
        """
        # If the files come from standard input, the next line there is not an answer.
        interactive = self.console.interactive and STDIN not in self.files
        if interactive and self.console.ask(f"{question} Type `yes` to confirm: ") == "yes":
            return
        why = "the answer was not `yes`" if interactive else "no terminal to confirm on"
        hint = f"type `yes` in a terminal, or add --yes after a review{note}"
        raise NotConfirmedError(f"{why}: {consequence}", hint=hint)


def _unplaced(finding: Finding) -> Finding:
    """Return a finding without its position in a file."""
    return finding._replace(position=None, excerpt=None, related=(), place=None)
