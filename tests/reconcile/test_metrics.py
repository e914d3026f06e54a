"""Metrics and health of a reconciler, read by Prometheus's own parser."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

import pytest

from tests.emulated.variant import Variant
from tests.folders import ROOT
from tests.ports import VirtualClock
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


def test_the_page_has_every_metric() -> None:
    """Alerts are written with the names on the page."""
    families = Metrics(VirtualClock(), 60.0, 600.0).registry.collect()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    page = (ROOT / "docs" / "reconcile.md").read_text("utf-8")
    assert set(re.findall(r"`(webhooks_[a-z_]+)", page)) == names


def test_series_are_by_organization_and_result() -> None:
    """They count drift, writes, suspended operations, and the time of the last success."""
    world = World(variant=Variant())
    world.repository.commit(configuration(slack("alpha", "a"), slack("beta", "b")))
    process = Process(world, "first", every=60.0)
    metrics = Metrics(process.clock, 60.0, 600.0)
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
        world.scheduler.sleep(661)
        assert health(port) == 503
        metrics.begin()
        assert health(port) == 200


def test_the_series_are_those_of_the_organizations_of_the_files() -> None:
    """One that never succeeds has a time to alert on, and one that is gone has no series."""
    world = World(variant=Variant())
    world.add_organization("Globex")
    process = Process(world, "first", every=60.0)
    process.paths = ("webhooks.yaml", "globex.yaml")
    acme, globex = (configuration(slack("alpha", "a"), organization=name) for name in world.keys)
    world.repository.commit({**acme, "globex.yaml": globex["webhooks.yaml"]})
    world.unreachable = {"Acme", "Globex"}
    metrics = Metrics(process.clock, 60.0, 600.0)
    success = "webhooks_last_success_timestamp_seconds"
    with serve(metrics, "127.0.0.1", 0) as port:
        for _ in range(3):
            metrics.record(process.next_rounds(1)[0])
        found = samples(port)
        assert found[f"{success} Acme"] == found[f"{success} Globex"] > 0
        world.unreachable.clear()
        while "webhooks_drift create Globex" not in samples(port):
            metrics.record(process.next_rounds(1)[0])
        world.repository.commit({"webhooks.yaml": "webhooks: [", "globex.yaml": ""})
        metrics.record(process.next_rounds(1)[0])
        assert f"{success} Globex" in samples(port), "invalid files remove nothing"
        world.repository.commit(acme)
        process.paths = ("webhooks.yaml",)
        metrics.record(process.next_rounds(1)[0])
        names = samples(port)
        assert f"{success} Acme" in names
        assert not [name for name in names if "Globex" in name]


def test_an_organization_with_the_key_of_another_has_a_series() -> None:
    """An alert names the organization of the file, not that of the key."""
    world = World(variant=Variant())
    world.key = lambda name: world.keys["Acme"]
    files = {name: configuration(organization=name)["webhooks.yaml"] for name in ("Acme", "Globex")}
    world.repository.commit(files)
    process = Process(world, "first", every=60.0)
    process.paths = tuple(files)
    metrics = Metrics(process.clock, 60.0, 600.0)
    with serve(metrics, "127.0.0.1", 0) as port:
        metrics.record(process.next_rounds(1)[0])
        assert "webhooks_last_success_timestamp_seconds Globex" in samples(port)


@pytest.mark.parametrize("apply", [False, True])
def test_a_declaration_that_is_not_applied_is_no_success(apply: bool) -> None:
    """It has a number, and the time of the last success stays."""
    world = World(variant=Variant())
    world.repository.commit(configuration(slack("alpha", "a")))
    Process(world, "earlier", every=None).run()
    copy = {**world.emulator.webhook("alpha"), "id": "copy"}
    world.emulator.store.save({**copy, "configuration": {"channel": "#other"}})
    process = Process(world, "first", every=60.0, apply=apply)
    metrics = Metrics(process.clock, 60.0, 600.0)
    with serve(metrics, "127.0.0.1", 0) as port:
        metrics.record(process.next_rounds(1)[0])
        before = samples(port)
        metrics.record(process.next_rounds(1)[0])
        assert before["webhooks_drift unapplied Acme"] == 1
        name = "webhooks_last_success_timestamp_seconds Acme"
        assert samples(port)[name] == before[name]


@pytest.mark.parametrize("apply", [False, True])
def test_what_a_guard_blocks_is_left(apply: bool) -> None:
    """Its operations are counted, also by a round that applies, and it is no success."""
    world = World(variant=Variant())
    world.repository.commit(configuration(slack("alpha", "a")))
    Process(world, "earlier", every=None).run()
    process = Process(world, "first", every=60.0, apply=apply)
    metrics = Metrics(process.clock, 60.0, 600.0)
    success = "webhooks_last_success_timestamp_seconds Acme"
    with serve(metrics, "127.0.0.1", 0) as port:
        metrics.record(process.next_rounds(1)[0])
        before = samples(port)
        world.repository.commit(configuration(head="scope: ['*']\n"))
        metrics.record(process.next_rounds(1)[0])
        after = samples(port)
        assert (before["webhooks_drift delete Acme"], after["webhooks_drift delete Acme"]) == (0, 1)
        assert after[success] == before[success]


def test_an_organization_that_is_declared_by_its_id_has_one_name() -> None:
    """Its series are those of its real name, also while it fails or waits."""
    world = World(variant=Variant())
    world.key = lambda name: world.keys["Acme"]
    files = configuration(slack("alpha", "a"), organization=f'"{world.organization}"')
    world.repository.commit(files)
    process = Process(world, "first", every=60.0)
    metrics = Metrics(process.clock, 60.0, 600.0)
    with serve(metrics, "127.0.0.1", 0) as port:
        metrics.record(process.next_rounds(1)[0])
        before = samples(port).keys()
        world.unreachable = {"Acme"}
        for result in process.next_rounds(3):
            metrics.record(result)
            assert samples(port).keys() == before
