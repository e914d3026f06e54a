"""How stored webhooks are shown: secrets, pages, order, and late visibility."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.emulated.variant import Variant

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]
TOKEN = "xoxb-0123456789"


@pytest.mark.parametrize(
    ("form", "token"),
    [
        ("plain", TOKEN),
        ("mask", "*****"),
        ("partial", "xoxb*****6789"),
        ("null", None),
        ("empty", ""),
        ("by-role", TOKEN),
        ("plain-on-write", "*****"),
    ],
)
def test_a_secret_reads_back_in_the_chosen_form(start: Start, form: str, token: Any) -> None:
    """In a list and alone; what is not secret stays readable, what is stored stays whole."""
    api = start(read_back=form)
    made = api.create()
    (listed,) = api("GET").json()["results"]
    assert listed == api.read(made["id"])
    assert listed["configuration"] == {"token": token, "channel": "#alerts", "username": "CT"}
    (stored,) = api.emulator.store.webhooks()
    assert stored["configuration"]["token"] == TOKEN


def test_a_secret_can_be_left_out(start: Start) -> None:
    """The key is not there at all."""
    api = start(read_back="omitted")
    assert api.create()["configuration"] == {"channel": "#alerts", "username": "CT"}


def test_a_ciphertext_can_be_stable_or_not(start: Start) -> None:
    """Equal secrets look equal, or every read looks different."""
    api = start(read_back="ciphertext")
    first, second = (api.create()["configuration"]["token"] for _ in range(2))
    assert first == second != TOKEN
    assert first.startswith("gAAAAA")
    api = start(read_back="fresh-ciphertext")
    made = api.create()
    assert api.read(made["id"]) != api.read(made["id"])


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("configuration-null", {"configuration": None}),
        ("configuration-empty", {"configuration": {}}),
        ("configuration-missing", {}),
    ],
)
def test_the_whole_configuration_can_be_hidden(start: Start, form: str, shown: Any) -> None:
    """Missing, null or empty."""
    made = start(read_back=form)
    body = made.create()
    assert {key: body[key] for key in body if key == "configuration"} == shown


def test_a_secret_can_be_plain_in_the_answer_to_a_write_only(start: Start) -> None:
    """Create and change show it, reads do not."""
    api = start(read_back="plain-on-write")
    made = api.create()
    changed = api("PATCH", f"{HOOKS}{made['id']}/", {"name": "x"}).json()
    assert made["configuration"]["token"] == changed["configuration"]["token"] == TOKEN


def test_a_secret_can_be_shown_by_role(start: Start) -> None:
    """Plain from ADMIN up, masked below."""
    api = start(read_back="by-role", shown_role="contrib", write_role="CONTRIB")
    assert api.create()["configuration"]["token"] == "*****"


def test_other_fields_can_be_secret_too(start: Start) -> None:
    """The channel, or the url."""
    api = start(read_back="mask", secret_fields=["token", "channel", "url"])
    assert api.create()["configuration"]["channel"] == "*****"
    assert api.create(api.generic())["configuration"]["url"] == "*****"


def test_short_secrets_are_masked_but_for_one_character(start: Start) -> None:
    """A partial mask does not show a short secret whole."""
    api = start(read_back="partial")
    assert api.create(api.generic(token="short"))["configuration"]["token"] == "s*****"


def test_keys_that_were_never_sent_can_be_shown(start: Start) -> None:
    """With the type's defaults, and without touching what is stored."""
    api = start(default_keys=True)
    made = api.create(api.generic())
    assert made["configuration"] == {
        "url": "https://hooks.example.com/ct",
        "verify": True,
        "username": None,
        "password": None,
        "token": None,
    }
    (stored,) = api.emulator.store.webhooks()
    assert stored["configuration"] == {"url": "https://hooks.example.com/ct"}


def fill(api: Any, count: int) -> Any:
    for i in range(count):
        api.create(api.slack(f"w{(i * 7) % count}"))
    return api


def test_pages_are_cut_and_linked(start: Start) -> None:
    """`count`, `next` and `previous` are there, and all pages together are the list."""
    api = fill(start(), 5)
    pages = [api("GET", query=f"page={n}&page_size=2&ordering=name").json() for n in (1, 2, 3)]
    assert [row["name"] for page in pages for row in page["results"]] == [f"w{i}" for i in range(5)]
    assert {page["count"] for page in pages} == {5}
    url = f"https://api.cloudtruth.io{HOOKS}"
    assert pages[0]["next"] == f"{url}?page_size=2&ordering=name&page=2"
    assert pages[1]["previous"] == f"{url}?page_size=2&ordering=name"
    assert (pages[0]["previous"], pages[2]["next"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 3),
        ("page_size=0", 3),
        ("page_size=-1", 3),
        ("page_size=x", 3),
        ("page_size=2", 2),
        ("page_size=1000", 4),
        ("page=last", 2),
        ("page=", 3),
    ],
)
def test_sizes_are_capped_and_rubbish_means_the_default(
    start: Start, query: str, rows: int
) -> None:
    """Without a word."""
    api = fill(start(page_size=3, max_page_size=4), 5)
    assert len(api.names(query)) == rows


@pytest.mark.parametrize("page", ["2", "0", "-1", "x", "9" * 400])
def test_a_page_that_is_not_there_is_404(api: Any, page: str) -> None:
    """The first page of an empty list is there."""
    assert api.names("page=1") == []
    answer = api("GET", query=f"page={page}")
    assert (answer.status, answer.json()) == (404, {"detail": "Invalid page."})


def test_the_last_next_can_be_an_empty_text_or_endless(start: Start) -> None:
    """Both were met in the wild."""
    assert start(next_link="empty")("GET").json()["next"] == ""
    api = start(next_link="endless")
    assert api("GET", query="page=9").json() | {"previous": None} == {
        "count": 0,
        "next": f"https://api.cloudtruth.io{HOOKS}?page=10",
        "previous": None,
        "results": [],
    }


def test_links_to_a_local_server_are_plain_http(api: Any) -> None:
    """The scheme follows from the host."""
    answer = api("GET", "/api/v1/organizations/", host="127.0.0.1:1234")
    assert answer.json()["results"][0]["url"].startswith("http://127.0.0.1:1234/")


@pytest.mark.parametrize(("count", "shown"), [("missing", None), ("low", 1), ("high", 3)])
def test_the_count_can_lie_or_be_missing(start: Start, count: str, shown: int | None) -> None:
    """While the rows are right."""
    body = fill(start(count=count), 2)("GET").json()
    assert (body.get("count"), len(body["results"])) == (shown, 2)


def test_a_server_can_answer_every_page_with_the_first(start: Start) -> None:
    """A repeated page, for ever."""
    api = fill(start(page_honoured=False, ordering="ignored"), 4)
    assert api.names("page=1&page_size=2") == api.names("page=2&page_size=2")


def test_rows_come_in_the_order_asked_for(api: Any) -> None:
    """Ascending, descending, by several keys; unknown keys are dropped."""
    fill(api, 3)
    assert api.names() == ["w0", "w1", "w2"]
    api.create(api.generic("w0"))
    assert api.names("ordering=-name") == ["w2", "w1", "w0", "w0"]
    rows = api("GET", query="ordering=name,-type,colour,last_run").json()["results"]
    assert [(row["name"], row["type"]) for row in rows][:2] == [("w0", "slack"), ("w0", "generic")]


def test_the_order_can_be_ignored(start: Start) -> None:
    """Then it is that of creation."""
    api = start(ordering="ignored")
    for name in "cab":
        api.create(api.slack(name))
    assert api.names("ordering=name") == ["c", "a", "b"]


def test_the_order_can_be_new_on_each_request(start: Start) -> None:
    """Pages then miss some rows and repeat others; with a seed, always the same ones."""

    def listing(seed: int) -> list[str]:
        api = fill(start(ordering="unordered", seed=seed), 20)
        return api.names("page_size=10&ordering=name") + api.names("page_size=10&page=2")

    assert len(set(listing(1))) < 20
    assert listing(1) == listing(1) != listing(2)


def test_writes_can_show_in_lists_some_listings_later(start: Start) -> None:
    """A create, a change and a delete; the object itself is fresh at once."""
    api = start()
    kept, doomed = api.create(api.slack("kept")), api.create(api.slack("doomed"))
    api.emulator.behaviour = Variant(stale_list_reads=2)
    api("PATCH", f"{HOOKS}{kept['id']}/", {"name": "renamed"})
    api("PATCH", f"{HOOKS}{kept['id']}/", {"name": "renamed twice"})
    api("DELETE", f"{HOOKS}{doomed['id']}/")
    api.create(api.slack("new"))
    assert api.read(kept["id"])["name"] == "renamed twice"
    assert api.names() == ["kept", "doomed"]
    assert api.names("ordering=name") == ["doomed", "kept"]
    assert api.names() == ["renamed twice", "new"]


def test_writes_can_show_in_lists_some_seconds_later(start: Start) -> None:
    """By the clock that the emulator was given."""
    api = start(stale_list_seconds=5)
    api.create()
    api.time.now += 4.9
    assert api.names() == []
    api.time.now += 0.1
    assert api.names() == ["alerts"]


def test_a_listing_is_equally_late_on_all_its_pages(start: Start) -> None:
    """Only its first page counts."""
    api = fill(start(), 2)
    api.emulator.behaviour = Variant(stale_list_reads=1)
    api.create(api.slack("new"))
    assert api("GET", query="page_size=1").json()["count"] == 2
    assert api("GET", query="page_size=1&page=2").json()["count"] == 2
    assert api("GET", query="page_size=1").json()["count"] == 3
