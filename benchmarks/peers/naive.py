"""A first solution: PyYAML, jsonschema, DeepDiff and one HTTP client, in one file.

naive.py validate|plan|apply
"""

import json
import os
import sys
from pathlib import Path

import click
import httpx
import yaml
from deepdiff import DeepDiff
from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).parent.parent.parent / "schemas" / "webhooks.schema.json"
FIELDS = ("name", "type", "event_types", "configuration")


def main() -> None:
    what = sys.argv[1]
    data = yaml.load(Path("webhooks.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    errors = list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(data))
    if errors:
        raise SystemExit(f"{len(errors)} errors")
    desired = data["webhooks"]
    for webhook in desired:
        for field, value in webhook["configuration"].items():
            if isinstance(value, dict):
                webhook["configuration"][field] = os.environ[value["env"]]
    if what == "validate":
        click.echo("valid")
        return
    key = os.environ["CLOUDTRUTH_API_KEY"]
    client = httpx.Client(
        base_url=os.environ["CLOUDTRUTH_SERVER_URL"], headers={"Authorization": f"Api-Key {key}"}
    )
    live: dict = {}
    page = 1
    while True:
        response = client.get("/api/v1/webhooks/", params={"page": page, "page_size": 100}).json()
        live.update((row["name"], row) for row in response["results"])
        if not response["next"]:
            break
        page += 1
    for webhook in desired:
        found = live.get(webhook["name"])
        if found is None:
            click.echo(f"+ {webhook['name']}")
            if what == "apply":
                sent = {**webhook, "organization": "org-1"}
                client.post("/api/v1/webhooks/", json=sent).raise_for_status()
            continue
        old = {field: found[field] for field in FIELDS}
        if DeepDiff(old, webhook, ignore_order=True):
            click.echo(f"~ {webhook['name']}")


main()
