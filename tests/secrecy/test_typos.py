"""A literal secret with a typo around it is not shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.secrecy.typos import FILES, INDICATORS, PASSWORD, seen

CONFIGURATIONS = [
    "{password:%s}",
    "{password=%s}",
    "{%s}",
    "{password: ab,%s}",
    "{password, %s}",
    "{password: {%s}}",
    "{password: [a, {%s: b}]}",
    "{password: {env: %s-x}}",
    "{%s: password}",
    "{usernam: %s}",
    "{username: #%s\n}",
    "{channel: %s, username: [%s]}",
    "{password: *%s}",
    "{password: &%s x}",
    "{password: !%s x}",
    "[%s]",
    "%s",
    "password=%s",
    "password: %s: x",
    "{password: a} # %s",
    "{url: 'https://%s', url: b}",
]


@pytest.mark.parametrize("written", CONFIGURATIONS)
@pytest.mark.parametrize(
    "around",
    [
        "webhooks: [{name: A, type: generic, event_types: ['*'], configuration: @}]\n",
        "defaults: {configuration: @}\nwebhooks: []\n",
        "defaults: @\nwebhooks: []\n",
        "webhooks: [@]\n",
    ],
)
def test_a_secret_is_not_shown(written: str, around: str) -> None:
    """However a secret is written wrongly, it is not seen in any format."""
    assert seen(around.replace("@", written.replace("%s", PASSWORD))) is None


@st.composite
def typos(draw: st.DrawFn) -> str:
    """Return a file with one indicator inserted, deleted or exchanged for another place's."""
    text = draw(st.sampled_from(sorted(FILES.values())))
    places = [at for at, each in enumerate(text) if each in INDICATORS]
    match draw(st.sampled_from(["insert", "delete", "replace", "swap"])):
        case "insert":
            at = draw(st.integers(0, len(text)))
            return text[:at] + draw(st.sampled_from(INDICATORS)) + text[at:]
        case "delete":
            at = draw(st.sampled_from(places))
            return text[:at] + text[at + 1 :]
        case "replace":
            at = draw(st.sampled_from(places))
            return text[:at] + draw(st.sampled_from(INDICATORS)) + text[at + 1 :]
        case _:
            one, other = sorted(draw(st.tuples(*[st.sampled_from(places)] * 2)))
            letters = list(text)
            letters[one], letters[other] = letters[other], letters[one]
            return "".join(letters)


@settings(max_examples=250, deadline=None)
@given(typos())
def test_no_typo_shows_a_secret(text: str) -> None:
    """One wrong indicator anywhere in a valid file shows no six characters of a secret."""
    assert seen(text) is None


def test_the_law_sees_what_is_shown() -> None:
    """A secret in a place that is shown, such as a name, would be found."""
    assert seen(f"webhooks: [{{name: ' {PASSWORD}', type: x}}]\n") is not None
