"""A plan as text: header, one row for each webhook that matters, sums, the digest."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from reconciler.findings import Finding, leading, sort_key
from reconciler.model import SecretRef
from reconciler.planning.plan import Plan
from reconciler.render.describe import (
    change_rows,
    kept_row,
    matched_row,
    place,
    unmanaged_row,
)
from reconciler.render.fields import Atom
from reconciler.render.quote import prose, quote
from reconciler.render.text.findings import block
from reconciler.render.text.layout import flow, lay_out, sentence
from reconciler.render.text.paint import paint
from reconciler.render.view import PLAIN, View
from reconciler.render.words import more_findings, plural, reference, summary


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Show what would be done, what is left alone, and how to do exactly this."""
    sections = [header(plan, view), _rows(plan, view), *remarks(plan, view), _end(plan, view)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def header(plan: Plan, view: View) -> list[str]:
    """Return whose webhooks these are, on which server, with which key, from how many files."""
    host = plan.origin.removeprefix("https://")
    about = [quote(host)]
    if view.key_source:
        about.append(f"key from {prose(view.key_source)}")
    if plan.organization.role:
        about.append(f"role {quote(plan.organization.role)}")
    if plan.organization.maintenance:
        about.append("in maintenance")
    if plan.files:
        about.append(plural(plan.files, "file"))
    parts = [
        f"{'(' if not index else ''}{each}{',' if index < len(about) - 1 else ')'}"
        for index, each in enumerate(about)
    ]
    title = f"CloudTruth webhooks of {paint(quote(plan.organization.name), 'strong', view.color)}"
    return flow([Atom(each) for each in parts], start=title, indent=2, width=view.width)


def _rows(plan: Plan, view: View) -> list[str]:
    rows = [
        *change_rows(plan, view.now),
        *(kept_row(each) for each in plan.kept),
        *(unmanaged_row(each, view.now) for each in plan.unmanaged),
    ]
    if view.show_unchanged:
        rows += [matched_row(each) for each in plan.matched]
    return lay_out(rows, width=view.width, color=view.color)


def remarks(plan: Plan, view: View) -> Iterable[list[str]]:
    """Say what is to be known beside the changes, in sections, of which some may be empty."""
    yield _unreadable(plan, view.width)
    yield _secrets(plan, view)
    shown, left = leading(plan.notes)
    for note in sorted(shown, key=sort_key):
        yield list(block(note, view))
    yield list(more_findings(left))
    yield _relaxed(plan.relaxed, view)
    for held in plan.blocked:
        yield list(_blocked(held, view))


def _unreadable(plan: Plan, width: int) -> list[str]:
    """Name, once for each field, every webhook of which it cannot be compared."""
    by_field: dict[str, list[str]] = {}
    for name, field in plan.unreadable:
        by_field.setdefault(field, []).append(quote(name))
    lines = []
    for field, names in by_field.items():
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        said = f"{quote(field)} of {listed} cannot be read back: whether it differs is not known."
        lines += flow(sentence(said)[1:], start=sentence(said)[0].text, indent=2, width=width)
    if lines:
        lines += flow(
            sentence(
                "To send one again, use --resend-secret, or bump `version` in its reference and "
                "apply with --base REVISION."
            ),
            start=" ", indent=2, width=width,
        )  # fmt: skip
    return lines


def _secrets(plan: Plan, view: View) -> list[str]:
    """List what `apply` has to be given, each reference with where its value goes."""
    uses: dict[SecretRef, dict[str, None]] = {}
    for use in plan.secrets:
        # Of an address that only its reference tells, the webhook says more.
        known = use.destination and str(use.reference) not in use.destination
        goal = quote(use.destination if known else use.webhook)
        uses.setdefault(use.reference, {})[goal] = None
    if not uses:
        return []
    lines = ["Secrets that apply needs:"]
    for ref, goals in uses.items():
        listed = list(goals)
        atoms = [Atom(f"-> {listed[0]}{',' if len(listed) > 1 else ''}", gap="  ")]
        atoms += [
            Atom(f"{each}{',' if index < len(listed) - 2 else ''}")
            for index, each in enumerate(listed[1:])
        ]
        if ref in view.missing:
            atoms.append(Atom(paint("missing here", "warning", view.color), gap="   "))
        lines += flow(atoms, start=f"  {reference(ref)}", indent=6, width=view.width)
    return lines


def _relaxed(relaxed: Sequence[Finding], view: View) -> list[str]:
    if not relaxed:
        return []
    lines = [paint("Policy relaxed since the base:", "!", view.color)]
    for each in relaxed:
        where = [Atom(place(each.position), gap="   ")] if each.position else []
        atoms = [*sentence(prose(each.message)), *where]
        lines += flow(atoms, start="  !", indent=4, width=view.width)
    return lines


def _blocked(held: Finding, view: View) -> Iterable[str]:
    where = [Atom(f"({place(held.position)})")] if held.position else []
    start = paint("BLOCKED:", "error", view.color)
    atoms = [*sentence(prose(held.message)), *where]
    yield from flow(atoms, start=start, indent=2, width=view.width)
    if held.hint:
        yield from flow(sentence(prose(held.hint)), start="  help:", indent=4, width=view.width)


def _end(plan: Plan, view: View) -> list[str]:
    said = summary(plan)
    lines = flow(sentence(said)[1:], start=sentence(said)[0].text, indent=2, width=view.width)
    if not plan.changes:
        return [paint(lines[0], "good", view.color), *lines[1:]] if not plan.blocked else lines
    lines += _outside_digest(plan, view)
    if plan.digest:
        advice = [Atom(f"(apply exactly this: {_command(plan, view)})", gap="  ")]
        lines += flow(
            advice if not plan.blocked and view.again is not None else [],
            start=f"Digest {quote(plan.digest)}", indent=2, width=view.width,
        )  # fmt: skip
    return lines


def _command(plan: Plan, view: View) -> str:
    """Return what to type to have exactly this plan carried out."""
    words = ["webhooks", "apply"]
    words += [view.plan_file] if view.plan_file is not None else []
    words += view.again or ()
    words += ["--expect-digest", plan.digest] if view.plan_file is None else []
    return shlex.join(map(prose, words))


def _outside_digest(plan: Plan, view: View) -> list[str]:
    names = [
        quote(change.name)
        for change, found in zip(plan.changes, plan.operations, strict=False)
        if not found
    ]
    if not names:
        return []
    listed = [Atom(f"{each},") for each in names[:-1]] + [Atom(f"{names[-1]}.")]
    said = sentence("the digest, as only the value of a secret makes them:")
    return flow([*said, *listed], start="Outside", indent=2, width=view.width)
