"""Metrics and health of a reconciler, read by Prometheus's own parser."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.emulated.variant import Variant
from tests.reconcile.world import Process, World, configuration, slack

pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")

from prometheus_client.parser import text_string_to_metric_families

from reconciler.reconcile.metrics import Metrics, serve


def samples(port: int) -> dict[str, float]:
    """Return the served samples by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        text = response.read().decode()
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def health(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_series_are_by_organization_and_result() -> None:
    """They count drift, writes, suspended operations, and the time of the last success."""
    world = World(variant=Variant())
    world.repository.commit(configuration(slack("alpha", "a"), slack("beta", "b")))
    process = Process(world, "first", every=60.0)
    metrics = Metrics(process.clock, 60.0)
    with serve(metrics, "127.0.0.1", 0) as port:
        assert health(port) == 200
        for number in range(5):
            metrics.begin()
            metrics.record(process.next_rounds(1)[0])
            world.emulator.configure("alpha", channel=f"#other-{number}")
        found = samples(port)
        assert found["webhooks_writes_total Acme applied"] == 4
        assert found["webhooks_drift update Acme"] == 1
        assert found["webhooks_drift create Acme"] == 0
        assert found["webhooks_suspended Acme"] == 1
        assert found["webhooks_failing_deliveries Acme"] == 0
        assert found["webhooks_round_seconds_count"] == 5
        assert "webhooks_last_success_timestamp_seconds Acme" in found
        assert not any("alpha" in name for name in found)
        world.scheduler.sleep(181)
        assert health(port) == 503
        metrics.begin()
        assert health(port) == 200
