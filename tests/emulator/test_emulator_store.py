"""What the emulator stores: the log, files, ids, and writes of several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.store import Store
from tests.emulated.emulator import LOCAL_KEY

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]


def test_every_request_is_in_the_log(api: Any) -> None:
    """An entry has the request, the response and the change."""
    made = api.create()
    api("GET", HOOKS, query="page=9")
    api("GET", "/nowhere", authorization="")
    first, second, third = api.emulator.log
    assert (first.method, first.path, first.status) == ("POST", HOOKS, 201)
    assert first.changed == made["id"]
    assert '"name": "alerts"' in first.body
    assert (second.query, second.status, second.changed) == ("page=9", 404, None)
    assert (third.path, third.status) == ("/nowhere", 404)


def test_the_key_is_not_in_the_file(tmp_path: Path, start: Start) -> None:
    """Only the key's digest is stored."""
    path = tmp_path / "db"
    api = start(store=Store(path))
    api.create()
    api.emulator.store.close()
    assert LOCAL_KEY.encode() not in path.read_bytes()


def test_a_failed_transaction_changes_nothing(api: Any) -> None:
    """A nested transaction is part of the outermost one."""
    store = api.emulator.store

    def fail() -> None:
        with store.transaction():
            store.save(api.slack())
            with store.transaction():
                store.save(api.slack())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert api.stored() == []
    assert api.create()


def test_eight_concurrent_threads_lose_nothing(tmp_path: Path, start: Start) -> None:
    """Every create is stored once, and every log entry exists."""
    api = start(store=Store(tmp_path / "db"), unique_names="exact")

    def work(number: int) -> list[int]:
        return [
            api("POST", HOOKS, api.slack(f"{number // 2}-{i}")).status  # each name from two threads
            for i in range(20)
        ]

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for part in pool.map(work, range(8)) for status in part]
    assert sorted(statuses) == [201] * 80 + [400] * 80
    assert len(set(api.stored())) == 80
    assert len(api.emulator.log) == 160
    api.emulator.store.close()
