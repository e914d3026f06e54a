"""The requests to CloudTruth, byte for byte, as cassettes recorded from the emulator.

They show that the requests are exact and that client and emulator agree, not that CloudTruth
responds this way. After an intended change record them again with `RECORD_CASSETTES=1 pytest
tests/api/test_cassettes.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr

from reconciler.api.client import Client, connect
from reconciler.model import Secret
from reconciler.ports import Draft
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.in_process import InProcess
from tests.emulated.variant import Variant
from tests.ports import InlineWorkers, VirtualClock

FOLDER = Path(__file__).resolve().parents[1] / "cassettes" / "emulated" / "cloudtruth"
RECORDING = bool(os.environ.get("RECORD_CASSETTES"))
SENT = {"accept", "accept-encoding", "content-type"}
RECEIVED = {"content-type", "retry-after", "location", "allow"}
TOKEN = "xoxb-" + "canary-of-the-cassettes"


def scrub_request(request: Any) -> Any:
    """Keep the relevant headers of a request, without the token."""
    request.headers = {
        name: request.headers[name] for name in request.headers if name.lower() in SENT
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


def refuse(request: httpx.Request) -> httpx.Response:
    raise AssertionError("a request left the cassette")


@contextmanager
def tape(name: str, **choices: Any) -> Iterator[Client]:
    """Yield a client whose requests match the cassette `name`, in order and without exception."""
    path = FOLDER / f"{name}.yaml"
    if RECORDING:
        path.unlink(missing_ok=True)
    recorder = vcr.VCR(
        record_mode="all" if RECORDING else "none",
        match_on=["method", "scheme", "host", "port", "path", "query", "body"],
        before_record_request=scrub_request,
        before_record_response=scrub_response,
        decode_compressed_response=True,
    )
    clock = VirtualClock()
    emulator = Emulator(behavior=Variant(**choices), clock=clock.monotonic)
    inside = InProcess(emulator.handle, clock=clock)
    handler: Callable[[httpx.Request], httpx.Response] = (
        inside.handle_request if RECORDING else refuse
    )
    client = connect(
        server_url="https://api.cloudtruth.io",
        key=Secret(LOCAL_KEY),
        clock=clock,
        workers=InlineWorkers(),
        adapter=httpx.MockTransport(handler),
    )
    with (
        recorder.use_cassette(str(path)) as cassette,
        closing(client),
    ):
        yield client
        assert RECORDING or cassette.all_played


def draft(name: str, channel: str = "#deploys") -> Draft:
    return Draft(
        name=name,
        type="slack",
        event_types=("value_created", "value_deleted"),
        configuration={"token": Secret(TOKEN), "channel": channel, "username": "CloudTruth"},
    )


def test_a_webhook_from_create_to_delete() -> None:
    """Organization, list, POST, PATCH of a change, GET, DELETE, DELETE of a missing one."""
    with tape("life") as client:
        organization = client.organization()
        assert client.list() == ()
        made = client.create(draft("Deploys"), organization.id)
        client.update(made.id, draft("Deploys", "#ops"), frozenset({"configuration"}))
        found = client.get(made.id)
        assert found is not None
        assert (found.name, client.delete(made.id)) == ("Deploys", True)
        assert client.delete(made.id) is False


def test_pages_are_requested_by_number() -> None:
    """The largest page size first, then the page size that the server used."""
    with tape("pages", max_page_size=2, page_size=2) as client:
        organization = client.organization()
        for number in range(5):
            client.create(draft(f"Webhook {number}"), organization.id)

        assert len(client.list()) == 5


def test_put_is_used_after_patch_is_refused() -> None:
    """After a 405 to PATCH the complete webhook is sent, and PUT is remembered."""
    with tape("put", methods=("PUT", "DELETE")) as client:
        organization = client.organization()
        made = client.create(draft("Deploys"), organization.id)
        client.update(made.id, draft("Deploys", "#a"), frozenset({"configuration"}))
        client.update(made.id, draft("Deploys", "#b"), frozenset({"configuration"}))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_cassette_holds_a_credential(path: Path) -> None:
    """Neither the key nor a token is recorded, in any encoding."""
    text = path.read_text(encoding="utf-8")

    assert "Api-Key" not in text
    assert LOCAL_KEY not in text
    assert TOKEN not in text
    assert json.dumps(TOKEN)[1:-1] not in text
    assert "!!binary" not in text
