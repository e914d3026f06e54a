"""Files become declarations: merging, several files, findings and positions."""

from __future__ import annotations

from reconciler.model import Secret, SecretRef
from tests.loading import load_text


def test_literal_secrets_are_hidden() -> None:
    """A literal becomes a reference to itself; its value, without blanks, is in `literals`."""
    outcome = load_text(
        "webhooks: [{name: A, type: generic, event_types: ['*'], configuration: "
        "{url: 'https://hooks.slack.com/services/T0/B0/hush', token: ' hush-hush '}}]\n"
    )
    assert [each.rule for each in outcome.findings] == ["literal-secret", "trimmed-secret"]
    assert outcome.desired is not None
    url = SecretRef(scheme="literal", name="A/url")
    token = SecretRef(scheme="literal", name="A/token")
    assert outcome.desired.webhooks[0].configuration == {"url": url, "token": token}
    assert outcome.desired.literals == {
        url: Secret("https://hooks.slack.com/services/T0/B0/hush"),
        token: Secret("hush-hush"),
    }
    assert "hush" not in repr(outcome)


def test_literals_of_defaults_belong_to_each_webhook() -> None:
    """An inherited literal has a reference for each webhook, and one warning."""
    outcome = load_text(
        "defaults: {type: generic, event_types: ['*'], "
        "configuration: {url: 'https://a.example', token: 'secret'}}\n"
        "webhooks:\n  - {name: A}\n  - {name: B, id: '7'}\n"
    )
    (finding,) = outcome.findings
    assert (finding.rule, str(finding.position)) == ("literal-secret", "webhooks.yaml:1")
    assert outcome.desired is not None
    assert sorted(each.name for each in outcome.desired.literals) == ["7/token", "A/token"]
