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
from tests.conformance.gateways.benches import BENCHES, ORDER, GatewayBench, StripeBench

HOUR = 3600.0


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest) -> GatewayBench:
    return BENCHES[request.param]()


def test_every_provider_has_a_bench() -> None:
    folder = Path(payment_service.gateways.__path__[0])
    assert {each.parent.name for each in folder.glob("*/gateway.py")} == set(BENCHES)


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_a_gateway_says_its_name_and_how_long_keys_live(name: str) -> None:
    facts = BENCHES[name]().gateway.facts
    assert facts.name == name
    assert 0 < facts.key_is_safe_seconds < facts.key_life_seconds


# Creation.


def test_a_creation_makes_one_payment_of_the_order(bench: GatewayBench) -> None:
    made = bench.made()
    assert not made.replayed
    assert made.intent.client_secret
    assert (made.intent.amount, made.intent.currency) == (1099, "usd")
    assert made.intent.is_of(ORDER)
    assert not made.intent.livemode
    assert made.intent.status not in TAKEN
    assert bench.find() == [made.intent.id]


def test_the_same_key_gives_the_same_payment(bench: GatewayBench) -> None:
    first, second = bench.made(), bench.made()
    assert second.replayed
    assert second.intent.id == first.intent.id
    assert bench.find() == [first.intent.id]


def test_another_key_makes_another_payment(bench: GatewayBench) -> None:
    first, second = bench.made("key-1"), bench.made("key-2")
    assert bench.find() == sorted([first.intent.id, second.intent.id])


def test_a_key_is_kept_for_as_long_as_the_facts_say(bench: GatewayBench) -> None:
    first = bench.made()
    bench.wait(bench.gateway.facts.key_life_seconds - 1)
    assert bench.made().intent.id == first.intent.id


def test_a_key_with_other_parameters_is_misused(bench: GatewayBench) -> None:
    first = bench.made()
    assert isinstance(bench.create(sent=bench.sent(amount=2000)), KeyMisused)
    assert bench.find() == [first.intent.id]


def test_a_refusal_is_definitive_and_makes_nothing(bench: GatewayBench) -> None:
    outcome = bench.create(sent=bench.refused())
    assert isinstance(outcome, Declined)
    assert isinstance(outcome.error, Refused)
    assert not outcome.replayed
    assert not outcome.after_unresolved
    assert bench.find() == []


def test_a_lost_request_is_unclear_and_can_be_sent_again(bench: GatewayBench) -> None:
    bench.lose_requests()
    outcome = bench.create()
    assert isinstance(outcome, Unclear)
    assert not outcome.saved_5xx
    bench.mend()
    made = bench.made()
    assert not made.replayed
    assert bench.find() == [made.intent.id]


def test_a_lost_answer_is_unclear_and_the_key_tells_it(bench: GatewayBench) -> None:
    bench.lose_answers()
    outcome = bench.create()
    assert isinstance(outcome, Unclear)
    assert not outcome.saved_5xx
    bench.mend()
    made = bench.made()
    assert made.replayed
    assert bench.find() == [made.intent.id]


def test_a_saved_5xx_is_said_to_be_saved(bench: GatewayBench) -> None:
    if not bench.gateway.facts.saves_errors:
        pytest.skip("this provider saves no errors")
    bench.fail_and_save()
    for _ in range(2):
        outcome = bench.create()
        assert isinstance(outcome, Unclear)
        assert outcome.saved_5xx
    assert isinstance(bench.create("key-2"), Made)


@pytest.mark.parametrize("key", ["", "ключ", "a\nb", "x" * 256])
def test_a_text_that_is_no_key_is_not_sent(bench: GatewayBench, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        bench.create(key)
    assert bench.find() == []


# Reading.


def test_retrieve_shows_the_payment_as_it_is_now(bench: GatewayBench) -> None:
    made = bench.made().intent
    bench.pay(made.id)
    paid = bench.gateway.retrieve(made.id, bench.soon())
    assert (paid.id, paid.status, paid.amount_received) == (made.id, "succeeded", made.amount)
    assert bench.made().intent.id == made.id


@pytest.mark.parametrize("intent_id", ["pi_missing", "../x", ""])
def test_an_unknown_id_is_no_such_payment(bench: GatewayBench, intent_id: str) -> None:
    with pytest.raises(NoSuchIntent):
        bench.gateway.retrieve(intent_id, bench.soon())


def test_find_gives_the_payments_of_this_order_only(bench: GatewayBench) -> None:
    mine = bench.made().intent.id
    bench.made("key-2", bench.sent(order_id="A-2"))
    assert bench.find() == [mine]


def test_find_shows_a_payment_as_soon_as_it_is_made(bench: GatewayBench) -> None:
    assert bench.gateway.facts.list_is_current
    assert bench.find() == []
    made = bench.made().intent.id
    assert bench.find() == [made]


def test_find_reaches_back_to_a_payment_of_yesterday(bench: GatewayBench) -> None:
    since, made = bench.now, bench.made().intent.id
    bench.wait(25 * HOUR)
    assert bench.find(since, since) == [made]


def test_find_shows_what_became_of_an_old_payment(bench: GatewayBench) -> None:
    since, made = bench.now, bench.made().intent.id
    bench.wait(25 * HOUR)
    bench.pay(made)
    (found,) = bench.gateway.find(ORDER, since, bench.soon(), since)
    assert found.status == "succeeded"


@pytest.mark.parametrize("age", [10.0, HOUR / 2, HOUR - 60])
def test_stripes_lagging_search_hides_nothing_from_find(age: float) -> None:
    bench = StripeBench()
    bench.lag(HOUR)
    since, made = bench.now, bench.made().intent.id
    bench.wait(age)
    assert bench.find(since) == [made]


def test_walk_gives_every_payment_once_newest_first(bench: GatewayBench) -> None:
    first = bench.made("key-1").intent.id
    bench.wait(5)
    second = bench.made("key-2", bench.sent(order_id="A-2")).intent.id
    walked = [each.id for each in bench.gateway.walk(bench.now - 60, 10)]
    assert walked == [second, first]


def test_walk_leaves_out_what_is_older(bench: GatewayBench) -> None:
    bench.made("key-1")
    bench.wait(HOUR)
    second = bench.made("key-2").intent.id
    assert [each.id for each in bench.gateway.walk(bench.now - 60, 10)] == [second]


# Changing.


def test_an_update_changes_the_payment_and_shows(bench: GatewayBench) -> None:
    made, sent = bench.made().intent, bench.sent_update(2000)
    assert not bench.gateway.shows(made, sent)
    outcome = bench.gateway.update(made.id, sent, "update-1", bench.soon())
    assert isinstance(outcome, Made)
    assert outcome.intent.amount == 2000
    assert bench.gateway.shows(bench.gateway.retrieve(made.id, bench.soon()), sent)


def test_an_update_sent_twice_under_one_key_is_one_update(bench: GatewayBench) -> None:
    made = bench.made().intent
    for amount, key in ((2000, "update-1"), (3000, "update-2"), (2000, "update-1")):
        bench.gateway.update(made.id, bench.sent_update(amount), key, bench.soon())
    assert bench.gateway.retrieve(made.id, bench.soon()).amount == 3000


def test_a_canceled_payment_stays_canceled(bench: GatewayBench) -> None:
    made = bench.made().intent
    canceled = bench.gateway.cancel(made.id, "duplicate", bench.soon())
    assert canceled is not None
    assert canceled.status == CANCELED
    assert not canceled.payable
    assert bench.gateway.cancel(made.id, "duplicate", bench.soon()) is None
    assert bench.gateway.retrieve(made.id, bench.soon()).status == CANCELED


def test_a_paid_payment_is_not_canceled(bench: GatewayBench) -> None:
    made = bench.made().intent
    bench.pay(made.id)
    assert bench.gateway.cancel(made.id, "duplicate", bench.soon()) is None
    assert bench.gateway.retrieve(made.id, bench.soon()).status == "succeeded"


def test_canceling_an_unknown_payment_says_so(bench: GatewayBench) -> None:
    with pytest.raises(NoSuchIntent):
        bench.gateway.cancel("pi_missing", "duplicate", bench.soon())


# Parameters.


def test_parameters_of_a_request_create_its_payment(bench: GatewayBench) -> None:
    request = check_request({"amount": 1099, "order_id": "A-1"}, PaymentRequest)
    sent, again = bench.gateway.params_of(request), bench.gateway.params_of(request)
    assert (sent.text(), sent.gateway) == (again.text(), bench.gateway.facts.name)
    made = bench.made(sent=sent).intent
    assert made.is_of(ORDER)
    assert (made.amount, made.currency) == (1099, "usd")
    change = check_request({"amount": 2000, "order_id": "A-1"}, UpdateRequest)
    changed = bench.gateway.params_of_update(change, "usd")
    bench.gateway.update(made.id, changed, "update-1", bench.soon())
    assert bench.gateway.shows(bench.gateway.retrieve(made.id, bench.soon()), changed)


# Missing PaymentIntents.


def test_a_404_from_in_front_of_the_provider_says_nothing(bench: GatewayBench) -> None:
    made = bench.made().intent
    bench.answer_404()
    for call in (bench.gateway.retrieve, lambda *a: bench.gateway.cancel(a[0], "duplicate", a[1])):
        with pytest.raises(PaymentError):
            call(made.id, bench.soon())
    with pytest.raises(PaymentError):
        bench.find()
    bench.mend()
    assert bench.gateway.retrieve(made.id, bench.soon()).payable
