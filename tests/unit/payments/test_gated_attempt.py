"""An attempt at a gated gateway: rejections, lost answers, crashes, lost writes; paid before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from payment_service.errors import AlreadyPaid, GatewayFailed, Refused, StoreDown
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import PaidBefore
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.circuits import FAILURES
from payment_service.payments.creation.resolve import resolve
from payment_service.payments.idempotency_key import idempotency_key
from payment_service.payments.record import transitions
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.switch_bench import PAYPAL_ONLY, STRIPE_ONLY, TwoGateways

T = TypeVar("T")


class Crash(BaseException):
    """The process crashes here; no code of ours catches it."""


class FragileStore(MemoryStore):
    """A store whose next write of a chosen record crashes or is lost, before or after."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen: Callable[[KeyRecord], bool] = lambda _: False
        self.failure: BaseException = Crash()
        self.applied = False

    def claim(self, record: KeyRecord) -> KeyRecord:
        return self._fragile(record, lambda: super(FragileStore, self).claim(record))

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        return self._fragile(new, lambda: super(FragileStore, self).replace(current, new))

    def _fragile(self, record: KeyRecord, write: Callable[[], T]) -> T:
        if not self.chosen(record):
            return write()
        self.chosen = lambda _: False
        if self.applied:
            write()
        raise self.failure


def is_switch(record: KeyRecord) -> bool:
    return record.state == "pending" and '"paypal"' in record.params


def is_created(record: KeyRecord) -> bool:
    return record.state == "created"


class Bench(TwoGateways):
    def __init__(self) -> None:
        self.fragile = FragileStore()
        super().__init__(self.fragile)

    def fail_write(
        self, chosen: Callable[[KeyRecord], bool], failure: BaseException, *, applied: bool
    ) -> None:
        self.fragile.chosen, self.fragile.failure = chosen, failure
        self.fragile.applied = applied

    def expire(self) -> None:
        self.now += 60

    def orders(self) -> int:
        return len(self.paypal.orders)


@pytest.fixture
def bench() -> Bench:
    return Bench()


STOPS = [Crash(), StoreUnavailable("lost")]


# Crashes and lost writes: between claim, switch, create and record.


@pytest.mark.parametrize("failure", STOPS, ids=["crash", "store down"])
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("chosen", [is_switch, is_created], ids=["switch", "record"])
@pytest.mark.parametrize("stripe_is_back", [False, True])
def test_next_request_finishes_a_broken_switch(
    bench: Bench,
    chosen: Callable[[KeyRecord], bool],
    failure: BaseException,
    *,
    applied: bool,
    stripe_is_back: bool,
) -> None:
    bench.silence_stripe("lost_after")
    bench.fail_write(chosen, failure, applied=applied)
    with pytest.raises((Crash, StoreDown)):
        bench.ask()
    bench.expire()
    if stripe_is_back:
        bench.heal_stripe()
    created = bench.ask()
    record = bench.record()
    assert (record.state, record.payment_intent_id) == ("created", created.intent.id)
    assert record.sent.gateway == created.gateway
    had_switched = applied or chosen is is_created
    expected = "paypal" if had_switched or not stripe_is_back else "stripe"
    assert created.gateway == expected
    bench.heal_stripe()
    bench.look_at_all()
    assert bench.payable() == ([created.intent.id] if expected == "stripe" else [])


@pytest.mark.parametrize("failure", STOPS, ids=["crash", "store down"])
@pytest.mark.parametrize("applied", [False, True])
def test_lost_switch_sends_nothing_to_paypal(
    bench: Bench, failure: BaseException, *, applied: bool
) -> None:
    """Rule 13: the record names the gateway before the first byte goes there."""
    bench.silence_stripe()
    bench.fail_write(is_switch, failure, applied=applied)
    with pytest.raises((Crash, StoreDown)):
        bench.ask()
    assert bench.at_paypal == []


def test_payment_that_was_not_recorded_is_not_given_out(bench: Bench) -> None:
    """Rule 14, at both gateways: without the last write there is no answer."""
    for order_id in ("A-1", "B-1"):
        bench.fail_write(is_created, StoreUnavailable("lost"), applied=False)
        with pytest.raises(StoreDown):
            bench.ask(order_id)
        bench.open_circuit()
    assert len(bench.made()) == 1
    assert bench.orders() == 1


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_503", "html", "rate_limited"])
def test_unclear_creation_is_released_and_resent(bench: Bench, kind: str) -> None:
    bench.open_circuit()
    bench.break_paypal(kind)
    with pytest.raises(GatewayFailed if kind != "rate_limited" else Exception):
        bench.ask()
    record = bench.record()
    assert (record.state, record.owner, record.attempt) == ("pending", "", 1)
    bench.heal_paypal()
    bench.open_circuit()
    created = bench.ask()
    assert (created.gateway, bench.record().attempt) == ("paypal", 1)
    assert bench.orders() == 1


def test_old_key_is_not_sent_to_paypal_again(bench: Bench) -> None:
    bench.open_circuit()
    bench.break_paypal("lost_after")
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.heal_paypal()
    bench.now += 5 * 3600 + 1
    bench.open_circuit()
    assert bench.ask().gateway == "paypal"
    assert bench.record().attempt == 2


def test_unclear_attempt_goes_back_to_a_healthy_stripe(bench: Bench) -> None:
    """Nothing of it was given out (rule 14), so it leaves nothing."""
    bench.open_circuit()
    bench.break_paypal("lost_after")
    with pytest.raises(GatewayFailed):
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=PAYPAL_ONLY))
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))
    assert (created.gateway, bench.leftovers()) == ("stripe", [])


def test_other_parameters_begin_another_attempt(bench: Bench) -> None:
    bench.open_circuit()
    bench.break_paypal("lost_after")
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.heal_paypal()
    bench.open_circuit()
    created = bench.ask(amount=2000)
    assert (created.intent.amount, bench.record().attempt) == (2000, 2)


def test_resent_creation_that_is_approved_is_completed(bench: Bench) -> None:
    """Only a store that went back can show this: the link had been given out."""
    bench.open_circuit()
    made = bench.ask().intent.id
    record = bench.record()
    bench.approve(made)
    before = transitions.first_claim(bench.wanted(), bench.context.lease())
    pending = replace(
        before, sent=record.sent, version=record.version + 1, owner="", attempt=record.attempt
    )
    assert bench.records.replace(record, pending)
    bench.open_circuit()
    created = bench.ask()
    assert (created.intent.id, created.intent.status) == (made, "succeeded")


# Rejections.


def test_rejection_after_a_switch_reports_the_first_failure(bench: Bench) -> None:
    """The client may send the same request again: Stripe takes the order later."""
    bench.silence_stripe()
    reject(bench)
    with pytest.raises(GatewayFailed) as failed:
        bench.ask()
    assert failed.value.code == "stripe_unreachable"
    assert isinstance(failed.value.__cause__, Refused)
    assert bench.record().state == "rejected"


def test_rejection_without_a_switch_is_the_answer(bench: Bench) -> None:
    bench.open_circuit()
    reject(bench)
    with pytest.raises(Refused):
        bench.ask()


def test_order_that_paypal_rejected_goes_to_stripe_whatever_its_health(bench: Bench) -> None:
    bench.open_circuit()
    reject(bench)
    with pytest.raises(Refused):
        bench.ask()
    created = bench.ask()
    assert (created.gateway, bench.record().attempt) == ("stripe", 2)


def test_rejected_order_begins_again_at_paypal_for_paypal_only(bench: Bench) -> None:
    reject(bench)
    wanted = bench.wanted(accepts=PAYPAL_ONLY)
    with pytest.raises(Refused):
        bench.ask_within(BUDGET_SECONDS, wanted)
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=PAYPAL_ONLY))
    assert (created.gateway, bench.record().attempt) == ("paypal", 2)


def reject(bench: Bench) -> None:
    """PayPal answers the next creation 422."""
    bench.context = replace(bench.context, gated={"paypal": Refusing(bench)})


class Refusing:
    """PayPal's gateway, whose next creation sends a currency that PayPal does not have."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._inner = bench, bench.context.gated["paypal"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create(self, sent: Any, key: str, deadline: Deadline) -> Any:
        self._bench.context = replace(self._bench.context, gated={"paypal": self._inner})
        wrong = type(sent)(sent.api_version, {**sent.params, "return_url": ""}, sent.gateway)
        return self._inner.create(wrong, key, deadline)


# The order was paid before (rule 21).


class HasPayment(Refusing):
    """PayPal's gateway, which has a captured payment with the order's invoice id."""

    def create(self, sent: Any, key: str, deadline: Deadline) -> Any:
        return PaidBefore(Refused("paid before", code="DUPLICATE_INVOICE_ID"))


def pay_unrecorded(bench: Bench) -> None:
    """Have PayPal take the order's payment, and the store lose the record."""
    bench.paypal.rules = dataclasses.replace(bench.paypal.rules, unique_invoices="create")
    bench.open_circuit()
    bench.approve(bench.ask().intent.id)
    assert bench.ask().intent.status == "succeeded"
    assert bench.records.forget(bench.record())
    # The key is forgotten, so PayPal does not return the payment itself.
    bench.now += 7 * 3600


def test_second_payment_of_a_name_is_refused(bench: Bench) -> None:
    pay_unrecorded(bench)
    bench.open_circuit()
    with pytest.raises(AlreadyPaid):
        bench.ask()
    record = bench.record()
    assert (record.follow_up.paid_before, record.state, record.owner) == (True, "pending", "")
    assert "paid_before" in bench.whats()


def test_nothing_is_sent_for_an_order_that_was_paid_before(bench: Bench) -> None:
    pay_unrecorded(bench)
    bench.open_circuit()
    with pytest.raises(AlreadyPaid):
        bench.ask()
    sends, orders = bench.stripe_sends(), len(bench.at_paypal)
    for accepts in (STRIPE_ONLY, PAYPAL_ONLY):
        with pytest.raises(AlreadyPaid):
            bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=accepts))
    with pytest.raises(AlreadyPaid):
        resolve(bench.context, bench.record(), Deadline.after(25, lambda: bench.now))
    assert (bench.stripe_sends(), len(bench.at_paypal)) == (sends, orders)


def test_fence_takes_the_order_from_a_later_owner(bench: Bench) -> None:
    """PayPal's answer comes late, while another request has begun at Stripe."""
    bench.open_circuit()
    bench.context = replace(bench.context, gated={"paypal": Slow(bench)})
    with pytest.raises(AlreadyPaid):
        bench.ask()
    record = bench.record()
    assert (record.follow_up.paid_before, record.owner, record.sent.gateway) == (True, "", "stripe")


class Slow(HasPayment):
    """Another process begins the order at Stripe before PayPal answers."""

    def create(self, sent: Any, key: str, deadline: Deadline) -> Any:
        record = self._bench.record()
        wanted = self._bench.wanted()
        theirs = transitions.next_attempt(record, wanted, self._bench.context.lease())
        assert self._bench.records.replace(record, theirs)
        return super().create(sent, key, deadline)


# Late owners.


def elsewhere_at_once(bench: Bench) -> str:
    """Have another process, whose circuit is open, take the released order; return its payment."""
    bench.on_answer = lambda: None
    record = bench.record()
    assert bench.records.replace(record, replace(record, owner="", version=record.version + 1))
    other = bench.another()
    assert other.failover
    for _ in range(FAILURES):
        other.failover.circuits.note("stripe", failed=True)
    return bench.ask_in(other).intent.id


def test_late_paypal_answer_is_not_given_out(bench: Bench) -> None:
    """Rule 6: the order went on at Stripe while PayPal made a payment."""
    bench.open_circuit()

    def take_away() -> None:
        bench.on_paypal = lambda: None
        record = bench.record()
        released = replace(record, owner="", version=record.version + 1)
        assert bench.records.replace(record, released)
        other = bench.another()
        assert bench.ask_in(other, accepts=STRIPE_ONLY).gateway == "stripe"

    bench.on_paypal = take_away
    created = bench.ask()
    assert created.gateway == "stripe"
    assert bench.payable() == [created.intent.id]


def test_late_stripe_answer_is_not_given_out(bench: Bench) -> None:
    """The order went on at PayPal while Stripe made a PaymentIntent."""
    theirs: list[str] = []
    bench.on_answer = lambda: theirs.append(elsewhere_at_once(bench))
    created = bench.ask()
    assert [created.intent.id] == theirs
    assert bench.payable() == []


def test_owner_that_lost_its_order_passes_nothing_over(bench: Bench) -> None:
    """Rule 15: only the owner of a pending attempt may switch."""
    theirs: list[str] = []
    bench.silence_stripe("lost_after")
    bench.on_answer = lambda: theirs.append(elsewhere_at_once(bench))
    created = bench.ask()
    assert ([created.intent.id], created.replayed) == (theirs, True)
    assert (bench.record().attempt, bench.orders()) == (2, 1)


def test_late_answer_of_a_lost_record_is_canceled(bench: Bench) -> None:
    """Rule 13: the attempt of the same number at PayPal is another one."""
    theirs: list[str] = []

    def lose() -> None:
        bench.on_answer = lambda: None
        assert bench.records.forget(bench.record())
        other = bench.another()
        theirs.append(bench.ask_in(other, accepts=PAYPAL_ONLY).intent.id)

    bench.on_answer = lose
    created = bench.ask()
    assert ([created.intent.id], bench.record().attempt) == (theirs, 1)
    assert bench.payable() == []


def test_key_names_the_gateway(bench: Bench) -> None:
    keys: list[str] = []

    class Listening(Refusing):
        def create(self, sent: Any, key: str, deadline: Deadline) -> Any:
            keys.append(key)
            return self._inner.create(sent, key, deadline)

    bench.context = replace(bench.context, gated={"paypal": Listening(bench)})
    bench.open_circuit()
    bench.ask()
    assert keys == [idempotency_key(None, "A-1", 1, "paypal")]
