"""Property test: the stores and a dict give the same results for thousands of operations."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from msgspec.structs import replace

from payment_service.key_store import KeyStore, open_key_store, shared_memory_store
from payment_service.key_store.contract import KeyRecord, Order
from tests.support.key_stores import NOW, record
from tests.support.servers import QUICK_DISK, Postgres, Redis

ORDERS = [
    Order(livemode, client, name)
    for livemode in (False, True)
    for client in (None, "a", "a:b", "-")
    for name in ("c", "b:c", "名🛒")
]

# Texts that the contract allows: all except NUL and lone surrogates.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
instants = st.sampled_from([NOW, NOW + 0.1, NOW + 1 / 3, NOW + 7, 0.5])
due_instants = st.none() | instants
orders = st.sampled_from(ORDERS)

changes = st.fixed_dictionaries(
    {
        "attempt": st.integers(1, 2**31),
        "fingerprint": texts,
        "params": texts,
        "state": st.sampled_from(["pending", "created", "rejected"]),
        "owner": st.sampled_from(["first", "second", "третий"]),
        "locked_until": instants,
        "first_sent_at": instants,
        "updated_at": instants,
        "saved_5xx": st.booleans(),
        "payment_intent_id": st.none() | texts,
        "payment_status": st.none() | texts,
        "follow_up": texts,
        "due_at": due_instants,
        "alarm_at": due_instants,
    }
)


class Agreement(RuleBasedStateMachine):
    """`model` is what should be held; `stale` is what was held before."""

    stores: dict[str, KeyStore]

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[Order, KeyRecord] = {}
        self.stale: dict[Order, KeyRecord] = {}
        for store in self.stores.values():
            for left in store.scan():
                assert store.forget(left)

    def all_say(self, expected: object, asked: dict[str, Any]) -> None:
        assert asked == dict.fromkeys(self.stores, expected)

    def known(self, order: Order, stale: bool) -> KeyRecord:
        held = (self.stale if stale else self.model).get(order)
        return held or record(order)

    @rule(order=orders, fields=changes)
    def claim(self, order: Order, fields: dict[str, Any]) -> None:
        mine = replace(record(order), **fields)
        held = self.model.setdefault(order, mine)
        self.all_say(held, {name: s.claim(mine) for name, s in self.stores.items()})

    @rule(order=orders, fields=changes, stale=st.booleans())
    def replace(self, order: Order, fields: dict[str, Any], stale: bool) -> None:
        current = self.known(order, stale)
        new = replace(current, version=current.version + 1, **fields)
        done = self.is_held(current)
        if done:
            self.stale[order], self.model[order] = current, new
        self.all_say(done, {name: s.replace(current, new) for name, s in self.stores.items()})

    @rule(order=orders, stale=st.booleans())
    def forget(self, order: Order, stale: bool) -> None:
        current = self.known(order, stale)
        done = self.is_held(current)
        if done:
            self.stale[order] = self.model.pop(order)
        self.all_say(done, {name: s.forget(current) for name, s in self.stores.items()})

    @rule(now=instants)
    def due(self, now: float) -> None:
        due = [r for r in self.model.values() if r.due_at is not None and r.due_at <= now]
        for name, store in self.stores.items():
            found = store.due(now, len(ORDERS))
            assert [r.due_at for r in found] == sorted(r.due_at for r in due if r.due_at), name
            assert set(found) == set(due), name
            first = [r.due_at for r in store.due(now, 2)]
            assert first == [r.due_at for r in found][:2], name

    @rule(state=st.none() | st.sampled_from(["pending", "created", "rejected"]))
    def scan(self, state: Any) -> None:
        held = [r for r in self.model.values() if state in (None, r.state)]
        for name, store in self.stores.items():
            found = list(store.scan(state))
            assert len(found) == len(held), name
            assert set(found) == set(held), name

    @rule(order=orders)
    def read(self, order: Order) -> None:
        self.all_say(self.model.get(order), {n: s.read(order) for n, s in self.stores.items()})

    def is_held(self, current: KeyRecord) -> bool:
        held = self.model.get(current.order)
        return held is not None and (held.owner, held.version) == (current.owner, current.version)


@pytest.fixture
def stores(postgres_server: Postgres, redis_server: Redis) -> Iterator[dict[str, KeyStore]]:
    with tempfile.TemporaryDirectory(dir=QUICK_DISK) as directory:
        opened = {
            "memory": open_key_store("memory://"),
            "sqlite": open_key_store(f"sqlite:///{directory}/keys.db"),
            "shared memory": shared_memory_store(f"{directory}/shared.db"),
            "postgresql": open_key_store(postgres_server.new_url()),
            "redis": open_key_store(redis_server.new_url()),
        }
        yield opened
        for store in opened.values():
            store.close()


def test_the_stores_agree_with_a_dict(stores: dict[str, KeyStore]) -> None:
    Agreement.stores = stores
    bounds = settings(
        max_examples=15,
        stateful_step_count=40,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Agreement, settings=bounds)
