"""What an apply did, in the past tense: each change with its outcome, sums, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.errors import ExitCode
from reconciler.render.describe import RENAME, Row, change_row, kept_row, place
from reconciler.render.fields import Atom, FieldLine, label, words
from reconciler.render.quote import prose, quote
from reconciler.render.text.layout import flow, lay_out, sentence
from reconciler.render.text.paint import paint
from reconciler.render.text.plan import header, remarks
from reconciler.render.view import PLAIN, View
from reconciler.render.words import (
    UNWRITTEN,
    ending,
    outcome_counts,
    past,
    plural,
    summary,
    verification,
)
from reconciler.report import Applied, Failed, FieldMessage, Outcome, Report, Skipped, Unconfirmed


def render_report(report: Report, view: View = PLAIN) -> str:
    """Show what became of each change, and of the run as a whole."""
    rows = [_row(each, view) for each in report.outcomes]
    sections = [
        header(report.plan, view),
        lay_out(
            [*rows, *(kept_row(each) for each in report.plan.kept)],
            width=view.width,
            color=view.color,
        ),
        _healed(report, view),
        # Where there was something to do, the plan was shown before it was done.
        *(remarks(report.plan, view) if not report.plan.changes else ()),
        list(_end(report, view)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _row(outcome: Outcome, view: View) -> Row:
    planned = change_row(outcome.change, view.now)
    done = past(outcome.change)
    match outcome:
        case Applied(note=note):
            said = prose(note) if note else " ".join(_detail(planned))
            return _outcome_row(planned, planned.sign, done, said)
        case Failed():
            fields = tuple(_field(each) for each in outcome.fields)
            if outcome.hint:
                fields += (FieldLine("help", sentence(prose(outcome.hint))),)
            return _outcome_row(planned, "x", f"not {done}", prose(outcome.message), fields)
        case Skipped():
            return _outcome_row(planned, ".", "skipped", prose(outcome.message))
        case Unconfirmed():
            said = f"{prose(outcome.message)} (the next run finds out)"
            return _outcome_row(planned, "?", "unconfirmed", said)


def _outcome_row(
    planned: Row, sign: str, what: str, said: str, fields: Sequence[FieldLine] = ()
) -> Row:
    return Row(
        sign=sign,
        name=planned.name,
        what=what,
        details=words(said) if said else (),
        place=planned.place,
        fields=tuple(fields),
    )


def _detail(planned: Row) -> tuple[str, ...]:
    """Return what is worth repeating of a change that was made: where it delivers, or its name."""
    return planned.details if planned.what == RENAME else (planned.what,)


def _field(message: FieldMessage) -> FieldLine:
    where = (Atom(place(message.position), gap="   "),) if message.position else ()
    name = label(message.path) if message.path else "webhook"
    return FieldLine(name, (*sentence(prose(message.message)), *where))


def _healed(report: Report, view: View) -> list[str]:
    lines: list[str] = []
    for each in report.healed:
        said = (
            f"an unanswered create had left copy {quote(each.removed)} of {quote(each.name)}: "
            f"deleted, {quote(each.kept)} stays"
        )
        lines += flow(sentence(said), start="Healed:", indent=2, width=view.width)
    return lines


def _end(report: Report, view: View) -> Iterable[str]:
    last = ending(report)
    if not report.plan.changes and not report.problem and report.stopped is None:
        yield from _sentence(summary(report.plan), view)
        if last is not None:
            yield from _sentence(last, view)
        return
    numbers = f"{len(report.applied)} of {plural(len(report.plan.changes), 'change')}"
    yield from _sentence(f"Applied {numbers}: {outcome_counts(report)}.", view)
    if report.exit_code not in UNWRITTEN:
        yield from _sentence(verification(report), view)
    if report.problem:
        start = paint("Problem:", "error", view.color)
        yield from flow(sentence(prose(report.problem)), start=start, indent=2, width=view.width)
    if last is not None:
        assert report.exit_code is not ExitCode.OK
        yield from _sentence(last, view)


def _sentence(text: str, view: View) -> list[str]:
    first, *others = sentence(text)
    return flow(others, start=first.text, indent=2, width=view.width)
