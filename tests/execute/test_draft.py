"""What is sent of a declaration."""

from __future__ import annotations

from reconciler.execute.operation import draft
from reconciler.model import Secret
from tests.execute.world import SECRETS, TOKEN, slack


def test_a_draft_holds_the_values_of_secrets() -> None:
    """Configuration is complete, with values in place of references."""
    sent = draft(slack("a"), SECRETS)
    assert sent.configuration is not None
    token = sent.configuration.pop("token")  # type: ignore[attr-defined]
    assert isinstance(token, Secret)
    assert token.same_as(SECRETS[TOKEN])
    assert sent.configuration == {"channel": "#ops", "username": "CT"}


def test_a_draft_without_a_secret_has_no_configuration() -> None:
    """As configuration is sent whole, half of it would delete the rest."""
    assert draft(slack("a"), {}).configuration is None
