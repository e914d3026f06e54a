"""Files with literal secrets and one typo: an indicator of YAML too many, too few or exchanged.

`python -m tests.secrecy.typos` tries every variant and prints those that show a secret.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from reconciler.render import FINDINGS_RENDERERS, View
from reconciler.source.files import SourceFile, Sources
from reconciler.source.lint import Rules
from reconciler.source.load import load_files

PASSWORD = "Kq7vW2xZp9Lm4Rt"
TOKEN = "Jw3nB8yHd6Gf1Sc"
KEY = "Xb5tMz0kVq8rNe2"
CANARIES = (PASSWORD, TOKEN, KEY)
SHOWN = 6
"""So many characters of a secret in a row must never be seen."""

INDICATORS = ("-", "- ", "?", ":", ": ", ",", ", ", "[", "]", "{", "}", "#", " #", "&", "*", "!",
              "|", ">", "'", '"', "%", "@", "`", "=", " ", "\n", "\\")  # fmt: skip
FILES = {
    "block": f"""\
webhooks:
  - name: Pager
    type: generic
    event_types: [value_created, "*_deleted"]
    configuration:
      url: https://pager.example.com/hook?key={KEY}
      username: ct
      password: {PASSWORD}
      token: "{TOKEN}"
  - name: Other
    type: generic
    event_types: [value_created]
    configuration: {{url: https://a.example.com, token: {{env: PAGER}}}}
""",
    "flow": f"""\
webhooks:
  - {{name: Pager, type: generic, event_types: ["*"], configuration: {{url: https://a.example/{KEY},
      username: ct, password: {PASSWORD}, token: '{TOKEN}'}}}}
""",
    "defaults": f"""\
defaults:
  type: generic
  configuration: {{password: {PASSWORD}, username: ct}}
webhooks:
  - name: Pager
    event_types: ["*"]
    configuration: {{url: "https://u:{KEY}@a.example", token: {TOKEN}}}
""",
    "json": f"""\
{{"webhooks": [{{"name": "Pager", "type": "generic", "event_types": ["value_created"],
  "configuration": {{"url": "https://a.example/?k={KEY}", "username": "ct",
    "password": "{PASSWORD}", "token": "{TOKEN}"}}}}]}}
""",
    "anchors": f"""\
x-common: &common {{url: 'https://a.example/?{KEY}', username: ct, password: '{PASSWORD}'}}
webhooks:
  - name: Pager
    type: generic
    event_types: ["*"]
    configuration:
      <<: *common
      token: >-
        {TOKEN}
""",
    "cut in two": f"""\
webhooks:
  - name: Pager
    type: generic
    event_types: [value_created]
    configuration: {{url: https://a.example.com,
      password: "{PASSWORD}: {TOKEN}", username: {KEY[:7]}-{KEY[7:]}}}
""",
}


def variants(text: str) -> Iterator[str]:
    """Yield `text` with an indicator inserted, deleted or exchanged, everywhere."""
    for at in range(len(text) + 1):
        for each in INDICATORS:
            yield text[:at] + each + text[at:]
    for at, old in enumerate(text):
        if old in INDICATORS:
            yield text[:at] + text[at + 1 :]
            for each in INDICATORS:
                yield text[:at] + each + text[at + 1 :]
            for other in range(at + 1, len(text)):
                if text[other] in INDICATORS and text[other] != old:
                    yield text[:at] + text[other] + text[at + 1 : other] + old + text[other + 1 :]


def seen(text: str) -> str | None:
    """Return the part of a secret that is seen when `text` is judged, in any format."""
    sources = Sources(files=(SourceFile(file="webhooks.yaml", raw=text.encode()),))
    findings = load_files(sources, rules=Rules(allow_literal_secrets=True)).findings
    findings += load_files(sources).findings
    if not findings:
        return None
    shown = "".join(
        each().render_findings(findings, View()) for each in FINDINGS_RENDERERS.values()
    )
    for canary in CANARIES:
        for at in range(len(canary) - SHOWN + 1):
            if canary[at : at + SHOWN] in shown:
                return canary[at : at + SHOWN]
    return None


def main() -> int:
    """Try everything."""
    leaks = tried = 0
    for name, text in FILES.items():
        for variant in dict.fromkeys(variants(text)):
            tried += 1
            part = seen(variant)
            if part is not None:
                leaks += 1
                print(f"--- {name}: {part}\n{variant}", flush=True)
    print(f"{tried} variants, {leaks} leaks")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
