"""The requests to CloudTruth, with their headers, as cassettes recorded from the emulator.

They show that the requests are exact and that client and emulator agree, not that CloudTruth
responds this way. `--update-golden` records them again. kubetruth.yaml has real responses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import vcr
import yaml

from reconciler import __version__
from reconciler.api.client import Client
from reconciler.api.parameters import Parameters, Project
from tests.api.support import EmulatedApi, slack, transport
from tests.goldens import Golden
from tests.planning.builders import TOKEN

FOLDER = Path(__file__).resolve().parents[1] / "cassettes" / "emulated" / "cloudtruth"
NOT_COMPARED = {"authorization", "content-length", "host"}
"""The key, and what follows from the body and the URL, which are compared."""
RECEIVED = {"content-type", "retry-after", "location", "allow", "set-cookie"}


def scrub_request(request: Any) -> Any:
    """Keep all other headers of a request, without the version of the program, and no token."""
    request.headers = {
        name.lower(): value.removesuffix(f"/{__version__}")
        for name, value in request.headers.items()
        if name.lower() not in NOT_COMPARED
    }
    if request.body:
        request.body = request.body.replace(TOKEN.encode(), b"REDACTED")
    return request


def scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    """Keep the relevant headers of a response."""
    headers = response["headers"]
    response["headers"] = {name: headers[name] for name in headers if name.lower() in RECEIVED}
    response["body"]["string"] = response["body"]["string"].replace(TOKEN.encode(), b"REDACTED")
    return response


def reject(request: httpx.Request) -> httpx.Response:
    raise AssertionError("a request left the cassette")


@contextmanager
def tape(golden: Golden, name: str, **choices: Any) -> Iterator[Client]:
    """Yield a client whose requests match the cassette `name`, in order and without exception."""
    path = FOLDER / f"{name}.yaml"
    if golden.update:
        path.unlink(missing_ok=True)
    recorder = vcr.VCR(
        record_mode="all" if golden.update else "none",
        match_on=["method", "scheme", "host", "port", "path", "query", "body", "headers"],
        before_record_request=scrub_request,
        before_record_response=scrub_response,
        decode_compressed_response=True,
    )
    emulated = EmulatedApi(**choices)
    handler = emulated.adapter.handle_request if golden.update else reject
    client = emulated.connect(httpx.MockTransport(handler))
    with recorder.use_cassette(str(path)) as cassette, closing(client):
        yield client
        assert golden.update or cassette.all_played


def test_a_webhook_from_create_to_delete(golden: Golden) -> None:
    """Every request from reading the organization to deleting a missing webhook is as recorded."""
    with tape(golden, "life") as client:
        organization = client.organization()
        assert client.list() == ()
        made = client.create(slack("Deploys"), organization.id)
        client.update(made.id, slack("Deploys", channel="#ops"), frozenset({"configuration"}))
        found = client.get(made.id)
        assert found is not None
        assert (found.name, client.delete(made.id)) == ("Deploys", True)
        assert client.delete(made.id) is False


def test_pages_are_requested_by_number(golden: Golden) -> None:
    """The client requests the maximum page size first, then the size that the server used."""
    with tape(golden, "pages", max_page_size=2, page_size=2) as client:
        organization = client.organization()
        for number in range(5):
            client.create(slack(f"Webhook {number}"), organization.id)

        assert len(client.list()) == 5


def test_put_is_used_after_patch_is_rejected(golden: Golden) -> None:
    """After a 405 for PATCH the client sends the complete webhook with PUT, then and later."""
    with tape(golden, "put", methods=("PUT", "DELETE")) as client:
        organization = client.organization()
        made = client.create(slack("Deploys"), organization.id)
        client.update(made.id, slack("Deploys", channel="#a"), frozenset({"configuration"}))
        client.update(made.id, slack("Deploys", channel="#b"), frozenset({"configuration"}))


def test_responses_of_cloudtruth_itself_are_understood() -> None:
    """A project, an environment, parameters, and what it sends after creates are read."""
    recorded = yaml.safe_load((FOLDER.parents[1] / "kubetruth.yaml").read_text("utf-8"))
    parameters = Parameters(transport(*(httpx.Response(**response) for response in recorded))[0])
    id_, time = "88fdbb2c-fc0f-41a2-82aa-e152170d4a65", datetime(2023, 11, 10, 13, 3, 8, tzinfo=UTC)
    project = Project(id=id_, name="backend", role=None, pattern="", time=time)
    assert parameters.project("backend") == project
    environment = str(parameters.environment("default"))
    assert environment.endswith("/environments/21c25551-8ef7-4510-88a2-a021282d0932/")
    assert [parameter[1:] for parameter in parameters.starting_with(id_, "")] == [
        ("one", "ec7d1d3b-777c-4ebd-9e30-b111783ff7a4"),
        ("two", "44f7abf1-1448-4ab3-a68d-7c7ab8875cb3"),
    ]
    parameter = parameters.create(id_, "one", "")
    assert parameter == "e95d8cf8-13b9-46c5-a736-a22753345ab5"
    value = parameters.create_value(id_, parameter, environment, "true")
    assert value == "9e0400b9-65ae-4e0e-9ecb-3f256b75776b"
