"""Files on which every validator must agree, and files with errors that only `validate` finds."""

from __future__ import annotations

from typing import Final

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
    "slack": _SLACK,
    "generic": _GENERIC,
    "every root key": """\
$schema: ../schemas/webhooks.schema.json
version: 1
organization: Acme
prune: false
scope: ["team-a-*", Deploys]
ignore: ["manual-*"]
protect: ["prod-*"]
limits: {max_deletes: 0}
x-anything: {a: 1}
webhooks: []
""",
    "defaults": """\
defaults:
  type: slack
  event_types: ["*_deleted"]
  configuration: {token: {env: SLACK_BOT_TOKEN}, username: CloudTruth}
webhooks:
  - {name: a, configuration: {channel: "#a"}}
  - {name: b, configuration: {channel: b}}
""",
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
    "anchors and merges": """\
x-common: &common
  type: slack
  event_types: [value_created]
webhooks:
  - <<: *common
    name: a
    configuration: &c {token: {file: secrets/t}, channel: "#a", username: CT}
  - <<: *common
    name: b
    configuration: {<<: *c, channel: "#b"}
""",
    "absent": "webhooks:\n  - {name: old, state: absent}\n  - {name: o2, state: absent, id: abc}\n",
    "present": _slack("    type: slack", "    state: present\n    type: slack"),
    "id and previously": _slack("    type", "    id: abc\n    previously: [a, b]\n    type"),
    "organization of a payload": _slack("    type", "    organization: Acme\n    type"),
    "basic authentication": _generic(
        '"https://hooks.example.com/ct"}',
        "https://x.example/, username: me, password: {env: P, version: 2}}",
    ),
    "bearer authentication": _generic('ct"}', 'ct", token: {env: T}, verify: true}'),
    "every event": _generic('"*"', "parameter_*, value_created, '*_deleted', '[pt]*_updated'"),
    "yaml 1.2 scalars": _slack("name: Deploys", "name: yes"),
    "a channel id": _slack('"#deploys"', "C0123456789"),
    "removed keys of an overlay": """\
extends: base.yaml
organization: null
prune: null
scope: null
ignore: null
api_key: null
profile: null
defaults: {configuration: {verify: null}}
webhooks:
  - name: Audit
    event_types: null
    id: null
    previously: null
    adopt: null
    organization: null
    configuration: {token: null, username: null}
""",
}

INVALID: Final = {
    "no webhooks": "version: 1\n",
    "webhooks that are no list": "webhooks: {}\n",
    "root that is a list": "- name: a\n",
    "unknown root key": "webhook: []\nwebhooks: []\n",
    "another version": "version: 2\nwebhooks: []\n",
    "prune that is text": "prune: yes\nwebhooks: []\n",
    "an empty glob": 'ignore: [""]\nwebhooks: []\n',
    "a glob twice": "protect: [a, a]\nwebhooks: []\n",
    "a negative limit": "limits: {max_deletes: -1}\nwebhooks: []\n",
    "no name": _slack("name: Deploys\n    type", "type"),
    "an unknown type": _slack("type: slack", "type: teams"),
    "an unknown key": _slack("    type", "    descripton: x\n    type"),
    "an unknown event": _slack("[value_created]", "[value_creatd]"),
    "no event": _slack("[value_created]", "[]"),
    "an unknown field": _slack("channel:", "chanel:"),
    "a field of the other type": _slack('channel: "#deploys"', "url: https://x.example/"),
    "a channel that is a comment": (
        "webhooks:\n  - name: a\n    type: slack\n    event_types: ['*']\n"
        "    configuration:\n      channel: #alerts\n      token: {env: T}\n      username: a\n"
    ),
    "a reference to two places": _slack("{env: SLACK_BOT_TOKEN}", "{env: A, file: b}"),
    "a reference of another kind": _slack("{env: SLACK_BOT_TOKEN}", "{vault: a}"),
    "a variable that cannot be": _slack("SLACK_BOT_TOKEN", '"SLACK BOT"'),
    "a version of zero": _slack("{env: SLACK_BOT_TOKEN}", "{env: A, version: 0}"),
    "verify that is text": _generic('ct"}', 'ct", verify: "no"}'),
    "a url that is none": _generic("https://hooks", "hooks"),
    "an unknown state": "webhooks:\n  - {name: a, state: gone}\n",
    "absent with a type": "webhooks:\n  - {name: a, state: absent, type: slack}\n",
    "defaults of mixed types": "defaults: {type: slack, configuration: {url: x}}\nwebhooks: []\n",
    "a webhook that is text": "webhooks: [Deploys]\n",
    "a key without a value": "prune:\nwebhooks: []\n",
    "an id that is null": _slack("    type", "    id: null\n    type"),
    "a field that is null": _generic('ct"}', 'ct", verify: null}'),
    "a removed guard": "extends: base.yaml\nprotect: null\n",
}

BEYOND: Final = {
    "no type anywhere": _slack("    type: slack\n", ""),
    "a required field missing": _slack(", username: CloudTruth", ""),
    "a username without a password": _generic('ct"}', 'ct", username: me}'),
    "a name twice": _SLACK + _SLACK.partition("\n")[2],
    "a glob that matches nothing": _slack("[value_created]", '["secret_*"]'),
    "a token in the file": _slack("{env: SLACK_BOT_TOKEN}", "xoxb-" + "0123456789-abcdef"),
    "a variable of ours": _slack("SLACK_BOT_TOKEN", "CLOUDTRUTH_API_KEY"),
    "out of scope": "scope: [team-*]\n" + _SLACK,
}
"""Errors that only `validate` finds, because a schema validates one value at a time."""
