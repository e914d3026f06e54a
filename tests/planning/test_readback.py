"""What a listing proves about secrets, whatever else is in it."""

from __future__ import annotations

from reconciler.model import UNKNOWN, LiveWebhook, Scheme, Secret, SecretRef
from reconciler.planning.readback import Evidence, gather
from tests.planning.builders import (
    SECRETS,
    TOKEN,
    TOKEN_REF,
    generic,
    live_generic,
    live_slack,
    slack,
    unshown,
)

BEARER = SecretRef(scheme=Scheme.ENV, name="BEARER")
VALUES = {**SECRETS, BEARER: Secret("a real one")}
STRANGE = LiveWebhook(
    id="7", name="S", type="teams", event_types=frozenset(), configuration={"channel": "#x"}
)


def test_one_secret_that_compares_equal_is_evidence_for_its_field():
    """Webhooks of another type, hidden ones and fields not declared stand before it."""
    pairs = [
        (generic(token=TOKEN_REF), live_slack()),
        (generic(token=BEARER), unshown(live_generic(), UNKNOWN)),
        (generic(token=BEARER), live_generic(token="another one")),
        (generic(token=BEARER), live_generic(token="a real one")),
        (slack(), live_slack()),
    ]

    assert gather(pairs, (), VALUES).readable == {
        ("generic", "url"),
        ("generic", "token"),
        ("slack", "token"),
    }


def test_a_secret_of_another_type_is_no_evidence():
    """A webhook that is to change its type shows a token, but not that of its new type."""
    pairs = [(generic(token=TOKEN_REF), live_slack(token=TOKEN))]

    assert gather(pairs, (), VALUES) == Evidence()


def test_a_value_in_any_form_proves_that_the_server_shows_the_field():
    """Unknown types, hidden webhooks, empty and missing values prove nothing."""
    found = [
        STRANGE,
        unshown(live_slack(), UNKNOWN),
        live_generic(token=None, password=""),
        live_slack(token="*****"),
    ]

    assert gather((), found, {}) == Evidence(shown=frozenset({"url", "token"}))
