"""The emulator follows the published contract for any request over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.served import served

CONTRACT = Path(__file__).parents[2] / "schemas" / "cloudtruth-webhooks.openapi.yaml"
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "8"))
HEADERS = {"Authorization": f"Api-Key {LOCAL_KEY}"}
LIMITS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

pytestmark = [
    pytest.mark.slow,
    # Warnings of the tool's dependencies.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
schema = schemathesis.openapi.from_path(CONTRACT)


class Served:
    """One emulator for all examples; schemathesis makes its cases outside fixtures."""

    url = ""
    organization = ""


@pytest.fixture(scope="module", autouse=True)
def _served() -> Iterator[None]:
    emulator = Emulator()
    with served(emulator) as url:
        Served.url, Served.organization = url, emulator.organization
        yield


def use_existing_organization(case: schemathesis.Case) -> None:
    """Replace the organization in an example, because the schema allows any text."""
    body: Any = case.body
    if isinstance(body, dict) and isinstance(body.get("organization"), str):
        body["organization"] = Served.organization


@schema.parametrize()
@LIMITS
def test_every_response_follows_the_contract(case: schemathesis.Case) -> None:
    """Status, content type, headers and body conform; bad keys and methods are rejected."""
    use_existing_organization(case)
    case.call_and_validate(
        base_url=Served.url,
        headers=HEADERS,
        # The server may reject what a schema cannot: a blank name, a user without a password.
        # It ignores bad paging parameters, as its framework does.
        excluded_checks=[positive_data_acceptance, negative_data_rejection],
    )


class WebhookLifecycle(schema.as_state_machine()):  # type: ignore[misc]
    """Webhooks are created, read, changed and deleted in any order."""

    def before_call(self, case: schemathesis.Case) -> None:
        use_existing_organization(case)

    def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
        return {"base_url": Served.url, "headers": HEADERS}

    def validate_response(
        self, response: Any, case: schemathesis.Case, additional_checks: Any = None, **kwargs: Any
    ) -> None:
        case.validate_response(
            response,
            additional_checks=additional_checks,
            excluded_checks=[positive_data_acceptance, negative_data_rejection],
            transport_kwargs=kwargs,
        )


TestWebhookLifecycle = WebhookLifecycle.TestCase
TestWebhookLifecycle.settings = LIMITS


def test_the_example_in_the_contract_is_accepted() -> None:
    """The contract's example of a request is valid."""
    operation = schema.find_operation_by_id("webhooks_create")
    content = operation.definition.raw["requestBody"]["content"]["application/json"]
    case = operation.Case(body=dict(content["example"]), media_type="application/json")
    use_existing_organization(case)
    response = case.call(base_url=Served.url, headers=HEADERS)
    assert response.status_code == 201
