"""Files on which every validator must agree, and files with errors that only `validate` finds."""

from __future__ import annotations

from typing import Final

from tests.source.test_schema_file import BAD, GOOD

_SLACK = """\
webhooks:
  - name: Deploys
    type: slack
    event_types: [value_created]
    configuration: {token: {env: SLACK_BOT_TOKEN}, channel: "#deploys", username: CloudTruth}
"""
_GENERIC = """\
webhooks:
  - name: Pager
    type: generic
    event_types: ["*"]
    configuration: {url: "https://hooks.example.com/ct"}
"""


def _slack(old: str, new: str) -> str:
    assert old in _SLACK
    return _SLACK.replace(old, new)


def _generic(old: str, new: str) -> str:
    assert old in _GENERIC
    return _GENERIC.replace(old, new)


VALID: Final = {
    "empty": "webhooks: []\n",
    "every key": GOOD.replace("$schema: ./x.json\n", ""),
    "defaults of the other type": """\
defaults: {type: generic, configuration: {verify: false}}
webhooks:
  - name: a
    event_types: [value_created]
    configuration: {url: {env: HOOK_URL}}
""",
    "defaults without a type": """\
defaults: {event_types: [value_created]}
webhooks:
  - {name: a, type: generic, configuration: {url: https://x.example/}}
""",
    "every event": _generic('"*"', "parameter_*, value_created, '*_deleted', '[pt]*_updated'"),
    "yaml 1.2 scalars": _slack("name: Deploys", "name: yes"),
    "a channel id": _slack('"#deploys"', "C0123456789"),
    "marks of an overlay": """\
extends: base.yaml
unprotect: ["prod-*"]
api_key: null
defaults: {configuration: {verify: null}}
webhooks:
  - {name: New, add: true, type: slack, configuration: {channel: "#new"}}
  - {name: Audit, exclude: false, state: present}
  - {name: Old, exclude: true}
""",
    "removed keys of an overlay": """\
extends: base.yaml
organization: null
prune: null
scope: null
api_key: null
profile: null
defaults: {configuration: {verify: null}}
webhooks:
  - name: Audit
    event_types: null
    id: null
    adopt: null
    configuration: {token: null, username: null}
""",
}

BASE: Final = """\
organization: Acme
prune: false
scope: ["*"]
api_key: {env: ACME_KEY}
profile: acme
protect: ["prod-*"]
defaults:
  type: slack
  event_types: [value_updated]
  configuration: {token: {env: SLACK_BOT_TOKEN}, username: CloudTruth, verify: true}
webhooks:
  - name: Audit
    id: "1"
    event_types: ["*"]
    adopt: true
    configuration: {channel: "#audit", token: {env: OTHER_TOKEN}, username: Audit}
  - {name: Old, configuration: {channel: "#old"}}
"""
"""The file `base.yaml` that overlays extend."""

INVALID: Final = {
    **{text: text for text in BAD},
    "webhooks that are not a list": "webhooks: {}\n",
    "root that is a list": "- name: a\n",
    "unknown root key": "webhook: []\nwebhooks: []\n",
    "another version": "version: 2\nwebhooks: []\n",
    "an empty glob": 'ignore: [""]\nwebhooks: []\n',
    "a glob twice": "protect: [a, a]\nwebhooks: []\n",
    "an unknown type": _slack("type: slack", "type: teams"),
    "a reference of another kind": _slack("{env: SLACK_BOT_TOKEN}", "{vault: a}"),
    "an unknown state": "webhooks:\n  - {name: a, state: gone}\n",
    "defaults of mixed types": "defaults: {type: slack, configuration: {url: x}}\nwebhooks: []\n",
    "a webhook that is text": "webhooks: [Deploys]\n",
    "a key without a value": "prune:\nwebhooks: []\n",
    "a field that is null": _generic('ct"}', 'ct", verify: null}'),
    "a removed guard": "extends: base.yaml\nprotect: null\n",
    "a removed list": "extends: base.yaml\nignore: null\n",
}

BEYOND: Final = {
    "no type anywhere": _slack("    type: slack\n", ""),
    "a required field missing": _slack(", username: CloudTruth", ""),
    "a username without a password": _generic('ct"}', 'ct", username: me}'),
    "a name twice": _SLACK + _SLACK.partition("\n")[2],
    "a glob that matches nothing": _slack("[value_created]", '["secret_*"]'),
    "a token in the file": _slack("{env: SLACK_BOT_TOKEN}", "xoxb-" + "0123456789-abcdef"),
    "a forbidden variable": _slack("SLACK_BOT_TOKEN", "CLOUDTRUTH_API_KEY"),
    "out of scope": "scope: [team-*]\n" + _SLACK,
}
"""Errors that only `validate` finds, because a schema validates one value at a time."""
