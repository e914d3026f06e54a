"""Files become declarations: merging, several files, findings and positions."""

from __future__ import annotations

from reconciler.findings import Position
from reconciler.model import Scheme, Secret, SecretRef, Webhook
from tests.loading import load_text

EXAMPLE = """\
defaults:
  type: slack
  configuration: {token: {env: SLACK_BOT_TOKEN}, username: CloudTruth}
webhooks:
  - name: Deploys
    event_types: [value_created, value_updated, "*_deleted"]
    configuration: {channel: "#deploys"}
  - name: Pager
    type: generic
    event_types: [parameter_deleted]
    configuration:
      {url: https://hooks.example.com/ct, username: ct, password: {env: PAGER_PASSWORD}}
  - {name: tmp-test, state: absent}
"""


def test_any_field_has_a_position() -> None:
    """The position is the field's line, or that of `defaults` if the field is inherited."""
    outcome = load_text(EXAMPLE)
    assert outcome.desired is not None
    deploys, pager = outcome.desired.webhooks
    assert (pager.index, pager.position) == (1, Position(file="webhooks.yaml", line=8))
    (absent,) = outcome.desired.absent
    assert (absent.index, absent.position) == (2, Position(file="webhooks.yaml", line=13))

    def where(webhook: Webhook, *path: str | int) -> tuple[int, int] | None:
        position = outcome.position(outcome.place(webhook.file, webhook.index, path))
        return (position.line, position.column) if position else None

    assert where(deploys, "configuration", "channel") == (7, 30)
    assert where(deploys, "configuration", "token") == (3, 26)
    assert where(deploys, "type") == (2, 9)
    assert where(deploys, "event_types", 2) == (6, 49)
    assert where(pager, "configuration", "token") == (11, 5)  # absent: not the Slack default
    assert where(pager, "configuration", "url") == (12, 13)


def test_literal_secrets_are_hidden() -> None:
    """A literal becomes a reference to itself; its value, without blanks, is in `literals`."""
    outcome = load_text(
        "webhooks: [{name: A, type: generic, event_types: ['*'], configuration: "
        "{url: 'https://hooks.slack.com/services/T0/B0/hush', token: ' hush-hush '}}]\n"
    )
    assert [each.rule for each in outcome.findings] == ["literal-secret", "trimmed-secret"]
    assert outcome.desired is not None
    url = SecretRef(scheme=Scheme.LITERAL, name="A/url")
    token = SecretRef(scheme=Scheme.LITERAL, name="A/token")
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
