"""List and search: the list is read-after-write, and search lags."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sandbox_in_process import INTENTS, NOW, Shop, error

SEARCH = f"{INTENTS}/search"


@pytest.fixture
def shop() -> Shop:
    return Shop()


def ids(shop: Shop, path: str = INTENTS, **params: Any) -> list[str]:
    answer = shop.get(path, params)
    assert answer.status == 200, answer.body
    return [intent["id"] for intent in answer.json()["data"]]


def found(shop: Shop, query: str, **params: Any) -> list[str]:
    return ids(shop, SEARCH, query=query, **params)


def make(shop: Shop, count: int, apart_seconds: Any = 1.0, **params: Any) -> list[str]:
    """Create PaymentIntents and return their ids, newest first."""
    made = []
    for _ in range(count):
        made.append(shop.create(**params)["id"])
        shop.now += apart_seconds
    return made[::-1]


def test_the_list_is_read_after_write_and_newest_first(shop: Shop) -> None:
    assert ids(shop) == []
    made = make(shop, 3, apart_seconds=0)
    assert ids(shop) == made


def test_a_page_has_ten_entries_by_default(shop: Shop) -> None:
    made = make(shop, 12)
    first = shop.get(INTENTS).json()
    assert ([intent["id"] for intent in first["data"]], first["has_more"]) == (made[:10], True)
    assert len(ids(shop, limit=100)) == 12


@pytest.mark.parametrize("limit", ["0", "101", "ten"])
def test_an_invalid_page_size_is_rejected(shop: Shop, limit: str) -> None:
    assert error(shop.get(INTENTS, {"limit": limit}))["code"] == "parameter_invalid_integer"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_cursors_page_forwards_and_backwards(shop: Shop, size: int) -> None:
    made = make(shop, 7, apart_seconds=0.3)
    assert ids(shop, limit=size, starting_after=made[2]) == made[3 : 3 + size]
    assert ids(shop, limit=size, ending_before=made[4]) == made[max(0, 4 - size) : 4]


def test_has_more_is_false_on_the_last_page(shop: Shop) -> None:
    made = make(shop, 4)
    assert shop.get(INTENTS, {"limit": 2, "starting_after": made[1]}).json()["has_more"] is False
    assert shop.get(INTENTS, {"limit": 2, "starting_after": made[0]}).json()["has_more"] is True


def test_an_unknown_cursor_is_rejected(shop: Shop) -> None:
    assert error(shop.get(INTENTS, {"starting_after": "pi_none"}))["param"] == "starting_after"


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ({"created[gte]": 2}, [4, 3, 2]),
        ({"created[gt]": 2}, [4, 3]),
        ({"created[lte]": 2}, [2, 1, 0]),
        ({"created[lt]": 2}, [1, 0]),
        ({"created[gte]": 1, "created[lt]": 3}, [2, 1]),
        ({"created": 3}, [3]),
        ({"created[gt]": 9}, []),
    ],
)
def test_created_filters_the_list(shop: Shop, bounds: dict[str, int], wanted: list[int]) -> None:
    made = make(shop, 5)[::-1]
    asked: Any = {name: int(NOW) + second for name, second in bounds.items()}
    assert ids(shop, **asked) == [made[second] for second in wanted]


def test_customer_filters_the_list(shop: Shop) -> None:
    ours = make(shop, 2, customer="cus_ours")
    make(shop, 2, customer="cus_theirs")
    assert ids(shop, customer="cus_ours") == ours


def test_accounts_and_modes_are_separate(shop: Shop) -> None:
    made = make(shop, 1)
    for other in ("sk_test_other", "sk_live_sandbox"):
        assert shop.get(INTENTS, api_key=other).json()["data"] == []
        assert shop.get(f"{INTENTS}/{made[0]}", api_key=other).status == 404


def test_search_finds_an_object_after_its_lag(shop: Shop) -> None:
    made = make(shop, 1, apart_seconds=0, **{"metadata[order_id]": "A-1"})
    query = "metadata['order_id']:'A-1'"
    assert found(shop, query) == []
    shop.now += 1.9
    assert found(shop, query) == []
    shop.now += 0.1
    assert found(shop, query) == made


def test_search_returns_the_lagging_state(shop: Shop) -> None:
    made = make(shop, 1, apart_seconds=10)
    shop.act(made[0], "cancel")
    assert found(shop, "status:'requires_payment_method'") == made
    shop.now += 2
    assert found(shop, "status:'requires_payment_method'") == []
    assert found(shop, "status:'canceled'") == made


def test_the_search_lag_is_a_setting() -> None:
    shop = Shop(search_lag_seconds=3600)
    make(shop, 1, apart_seconds=3599)
    assert found(shop, "amount>1") == []
    shop.now += 1
    assert len(found(shop, "amount>1")) == 1


@pytest.mark.parametrize(
    ("query", "hit"),
    [
        ("metadata['order_id']:'A-1'", True),
        ('metadata["order_id"]:"A-1"', True),
        ("metadata['order_id']:'a-1'", True),
        ("metadata['order_id']:'A-2'", False),
        ("metadata['order_id']:'A'", False),
        ("metadata['order_id']~'A-'", True),
        ("-metadata['order_id']:'A-2'", True),
        ("metadata['none']:null", True),
        ("metadata['order_id']:null", False),
        ("amount:1099", True),
        ("amount>1098 AND amount<=1099", True),
        ("amount>1098 amount<1099", False),
        (f"created>={int(NOW)}", True),
        (f"created>{int(NOW)}", False),
        ("currency:'usd' AND status:'requires_payment_method'", True),
        ("currency:'eur' OR amount:1099", True),
        ("currency:'eur' AND amount:1099", False),
        ("customer:null", True),
        ("amount:'1099'", True),
    ],
)
def test_a_query_selects_by_its_clauses(shop: Shop, query: str, hit: bool) -> None:
    make(shop, 1, apart_seconds=10, **{"metadata[order_id]": "A-1"})
    assert bool(found(shop, query)) is hit


@pytest.mark.parametrize("value", ["it's", 'say "hi"', "back\\slash", "' OR amount>0 OR '", "ß€"])
def test_a_backslash_escapes_a_quote(shop: Shop, value: str) -> None:
    make(shop, 1, **{"metadata[order_id]": "another"})
    made = make(shop, 1, apart_seconds=10, **{"metadata[order_id]": value})
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    assert found(shop, f"metadata['order_id']:'{escaped}'") == made


@pytest.mark.parametrize(
    "query",
    [
        "",
        "order",
        "colour:'red'",
        "metadata['order_id']:'A-1",
        "amount:ten",
        "amount:1 AND",
        "amount:1 AND currency:'usd' OR amount:2",
        "status>'a'",
    ],
)
def test_an_invalid_query_is_rejected(shop: Shop, query: str) -> None:
    refused = shop.get(SEARCH, {"query": query})
    assert (refused.status, error(refused)["param"]) == (400, "query")


def test_search_has_pages(shop: Shop) -> None:
    made = make(shop, 5, **{"metadata[order_id]": "A-1"})
    shop.now += 10
    seen, page = [], None
    for _ in range(3):
        params = {"query": "metadata['order_id']:'A-1'", "limit": 2}
        answer = shop.get(SEARCH, params | ({"page": page} if page else {})).json()
        seen += [intent["id"] for intent in answer["data"]]
        page = answer["next_page"]
    assert (seen, page, answer["has_more"]) == (made, None, False)


def test_search_requires_a_query(shop: Shop) -> None:
    assert error(shop.get(SEARCH))["code"] == "parameter_missing"
