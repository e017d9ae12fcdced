"""The gateway contract, held against every provider."""

from __future__ import annotations

from pathlib import Path

import pytest

import payment_service.gateways
from payment_service.errors import PaymentError, Refused
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.intent import CANCELED, TAKEN
from payment_service.gateways.outcome import Declined, KeyMisused, Made, Unclear
from payment_service.payments.request.create import PaymentRequest, check_request
from payment_service.payments.request.existing_order import UpdateRequest
from tests.conformance.gateways.benches import (
    BENCHES,
    OPEN,
    ORDER,
    Bench,
    GatewayBench,
    StripeBench,
)

HOUR = 3600.0


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest) -> Bench:
    return BENCHES[request.param]()


@pytest.fixture(params=sorted(OPEN))
def open_bench(request: pytest.FixtureRequest) -> GatewayBench:
    return OPEN[request.param]()


def test_every_provider_has_a_bench() -> None:
    folder = Path(payment_service.gateways.__path__[0])
    assert {each.parent.name for each in folder.glob("*/gateway.py")} == set(BENCHES)


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_a_gateway_says_its_name_and_how_long_keys_live(name: str) -> None:
    facts = BENCHES[name]().gateway.facts
    assert facts.name == name
    assert 0 < facts.key_is_safe_seconds < facts.key_life_seconds


# Creation.


def test_a_creation_makes_one_payment_of_the_order(bench: Bench) -> None:
    made = bench.made()
    assert not made.replayed
    assert bench.given_out(made.intent)
    assert (made.intent.amount, made.intent.currency) == (1099, "usd")
    assert made.intent.is_of(ORDER)
    assert not made.intent.livemode
    assert made.intent.status not in TAKEN
    assert bench.payments() == [made.intent.id]


def test_the_same_key_gives_the_same_payment(bench: Bench) -> None:
    first, second = bench.made(), bench.made()
    assert second.replayed
    assert second.intent.id == first.intent.id
    assert bench.payments() == [first.intent.id]


def test_another_key_makes_another_payment(bench: Bench) -> None:
    first, second = bench.made("key-1"), bench.made("key-2")
    assert bench.payments() == sorted([first.intent.id, second.intent.id])


def test_a_key_is_kept_for_as_long_as_the_facts_say(bench: Bench) -> None:
    first = bench.made()
    bench.wait(bench.gateway.facts.key_life_seconds - 1)
    assert bench.made().intent.id == first.intent.id


def test_a_key_with_other_parameters_gives_nothing_out(bench: Bench) -> None:
    first = bench.made()
    outcome = bench.create(sent=bench.sent(amount=2000))
    # A gated gateway may return the first payment. Its price is another one, so it is unreadable.
    assert isinstance(outcome, Unclear if bench.gateway.facts.gated else KeyMisused)
    assert bench.payments() == [first.intent.id]


def test_a_refusal_is_definitive_and_makes_nothing(bench: Bench) -> None:
    outcome = bench.create(sent=bench.refused())
    assert isinstance(outcome, Declined)
    assert isinstance(outcome.error, Refused)
    assert not outcome.replayed
    assert not outcome.after_unresolved
    assert bench.payments() == []


def test_a_lost_request_is_unclear_and_can_be_sent_again(bench: Bench) -> None:
    bench.lose_requests()
    outcome = bench.create()
    assert isinstance(outcome, Unclear)
    assert not outcome.saved_5xx
    bench.mend()
    made = bench.made()
    assert not made.replayed
    assert bench.payments() == [made.intent.id]


def test_a_lost_answer_is_unclear_and_the_key_tells_it(bench: Bench) -> None:
    bench.lose_answers()
    outcome = bench.create()
    assert isinstance(outcome, Unclear)
    assert not outcome.saved_5xx
    bench.mend()
    made = bench.made()
    assert made.replayed
    assert bench.payments() == [made.intent.id]


def test_a_saved_5xx_is_said_to_be_saved(bench: Bench) -> None:
    if not bench.gateway.facts.saves_errors:
        pytest.skip("this provider saves no errors")
    bench.fail_and_save()
    for _ in range(2):
        outcome = bench.create()
        assert isinstance(outcome, Unclear)
        assert outcome.saved_5xx
    assert isinstance(bench.create("key-2"), Made)


@pytest.mark.parametrize("key", ["", "ключ", "a\nb", "x" * 256])
def test_a_text_that_is_no_key_is_not_sent(bench: Bench, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        bench.create(key)
    assert bench.payments() == []


# Reading.


def test_retrieve_shows_the_payment_as_it_is_now(bench: Bench) -> None:
    made = bench.made().intent
    bench.pay(made.id)
    paid = bench.retrieve(made.id)
    assert (paid.id, paid.status, paid.amount_received) == (made.id, "succeeded", made.amount)
    assert bench.made().intent.id == made.id


@pytest.mark.parametrize("intent_id", ["pi_missing", "../x", ""])
def test_an_unknown_id_is_no_such_payment(bench: Bench, intent_id: str) -> None:
    with pytest.raises(NoSuchIntent):
        bench.retrieve(intent_id)


def test_find_gives_the_payments_of_this_order_only(open_bench: GatewayBench) -> None:
    mine = open_bench.made().intent.id
    open_bench.made("key-2", open_bench.sent(order_id="A-2"))
    assert open_bench.find() == [mine]


def test_find_shows_a_payment_as_soon_as_it_is_made(open_bench: GatewayBench) -> None:
    assert open_bench.gateway.facts.list_is_current
    assert open_bench.find() == []
    made = open_bench.made().intent.id
    assert open_bench.find() == [made]


def test_find_reaches_back_to_a_payment_of_yesterday(open_bench: GatewayBench) -> None:
    since, made = open_bench.now, open_bench.made().intent.id
    open_bench.wait(25 * HOUR)
    assert open_bench.find(since, since) == [made]


def test_find_shows_what_became_of_an_old_payment(open_bench: GatewayBench) -> None:
    since, made = open_bench.now, open_bench.made().intent.id
    open_bench.wait(25 * HOUR)
    open_bench.pay(made)
    (found,) = open_bench.gateway.find(ORDER, since, open_bench.soon(), since)
    assert found.status == "succeeded"


@pytest.mark.parametrize("age", [10.0, HOUR / 2, HOUR - 60])
def test_stripes_lagging_search_hides_nothing_from_find(age: float) -> None:
    bench = StripeBench()
    bench.lag(HOUR)
    since, made = bench.now, bench.made().intent.id
    bench.wait(age)
    assert bench.find(since) == [made]


def test_walk_gives_every_payment_once_newest_first(open_bench: GatewayBench) -> None:
    first = open_bench.made("key-1").intent.id
    open_bench.wait(5)
    second = open_bench.made("key-2", open_bench.sent(order_id="A-2")).intent.id
    walked = [each.id for each in open_bench.gateway.walk(open_bench.now - 60, 10)]
    assert walked == [second, first]


def test_walk_leaves_out_what_is_older(open_bench: GatewayBench) -> None:
    open_bench.made("key-1")
    open_bench.wait(HOUR)
    second = open_bench.made("key-2").intent.id
    assert [each.id for each in open_bench.gateway.walk(open_bench.now - 60, 10)] == [second]


# Changing.


def test_an_update_changes_the_payment_and_shows(open_bench: GatewayBench) -> None:
    made, sent = open_bench.made().intent, open_bench.sent_update(2000)
    assert not open_bench.gateway.shows(made, sent)
    outcome = open_bench.gateway.update(made.id, sent, "update-1", open_bench.soon())
    assert isinstance(outcome, Made)
    assert outcome.intent.amount == 2000
    assert open_bench.gateway.shows(open_bench.gateway.retrieve(made.id, open_bench.soon()), sent)


def test_an_update_sent_twice_under_one_key_is_one_update(open_bench: GatewayBench) -> None:
    made = open_bench.made().intent
    for amount, key in ((2000, "update-1"), (3000, "update-2"), (2000, "update-1")):
        open_bench.gateway.update(made.id, open_bench.sent_update(amount), key, open_bench.soon())
    assert open_bench.gateway.retrieve(made.id, open_bench.soon()).amount == 3000


def test_a_canceled_payment_stays_canceled(open_bench: GatewayBench) -> None:
    made = open_bench.made().intent
    canceled = open_bench.gateway.cancel(made.id, "duplicate", open_bench.soon())
    assert canceled is not None
    assert canceled.status == CANCELED
    assert not canceled.payable
    assert open_bench.gateway.cancel(made.id, "duplicate", open_bench.soon()) is None
    assert open_bench.gateway.retrieve(made.id, open_bench.soon()).status == CANCELED


def test_a_paid_payment_is_not_canceled(open_bench: GatewayBench) -> None:
    made = open_bench.made().intent
    open_bench.pay(made.id)
    assert open_bench.gateway.cancel(made.id, "duplicate", open_bench.soon()) is None
    assert open_bench.gateway.retrieve(made.id, open_bench.soon()).status == "succeeded"


def test_canceling_an_unknown_payment_says_so(open_bench: GatewayBench) -> None:
    with pytest.raises(NoSuchIntent):
        open_bench.gateway.cancel("pi_missing", "duplicate", open_bench.soon())


# Parameters.


def test_parameters_of_a_request_create_its_payment(open_bench: GatewayBench) -> None:
    request = check_request({"amount": 1099, "order_id": "A-1"}, PaymentRequest)
    sent, again = open_bench.gateway.params_of(request), open_bench.gateway.params_of(request)
    assert (sent.text(), sent.gateway) == (again.text(), open_bench.gateway.facts.name)
    made = open_bench.made(sent=sent).intent
    assert made.is_of(ORDER)
    assert (made.amount, made.currency) == (1099, "usd")
    change = check_request({"amount": 2000, "order_id": "A-1"}, UpdateRequest)
    changed = open_bench.gateway.params_of_update(change, "usd")
    open_bench.gateway.update(made.id, changed, "update-1", open_bench.soon())
    assert open_bench.gateway.shows(
        open_bench.gateway.retrieve(made.id, open_bench.soon()), changed
    )


# Missing PaymentIntents.


def test_a_404_from_in_front_of_the_provider_says_nothing(open_bench: GatewayBench) -> None:
    made = open_bench.made().intent
    open_bench.answer_404()
    for call in (
        open_bench.gateway.retrieve,
        lambda *a: open_bench.gateway.cancel(a[0], "duplicate", a[1]),
    ):
        with pytest.raises(PaymentError):
            call(made.id, open_bench.soon())
    with pytest.raises(PaymentError):
        open_bench.find()
    open_bench.mend()
    assert open_bench.gateway.retrieve(made.id, open_bench.soon()).payable
