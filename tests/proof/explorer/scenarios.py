"""The scenarios: the history of the order before the workers start."""

from __future__ import annotations

import dataclasses
from functools import partial

from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.payments.creation.states import Created
from payment_service.payments.idempotency_key import idempotency_key, refund_key
from sandbox.execution import Execution
from sandbox.faults import FaultOrder, Match
from tests.proof.explorer.actors import Actor, Canceler, Hook, Looker, Updater, Walker
from tests.proof.explorer.gated_scenarios import GATED_SCENARIOS
from tests.proof.explorer.money_actors import Capturer, MoneyHook, Refunder
from tests.proof.explorer.scenario import CREATE, Scenario
from tests.proof.explorer.world import HEADERS, HOUR, ORDER, World

REFUND = Match(method="POST", path="/v1/refunds")
FIND = Match(method="GET")


def nothing(world: World) -> None:
    """The order is new."""


def created(world: World) -> Created:
    """The order has its PaymentIntent, and the client_secret was returned."""
    answer = world.ask(1099)
    assert isinstance(answer, Created)
    world.judge.out.add(answer.intent.id)
    return answer


def paid(world: World) -> None:
    world.act(created(world).intent.id, "confirm")


def canceled(world: World) -> None:
    world.act(created(world).intent.id, "cancel")


def _unanswered(world: World, kind: str, *, blind: bool = False) -> None:
    """A request that hit this fault and, if `blind`, could not look up its PaymentIntent."""
    world.sandbox.faults.order(FaultOrder(kind, CREATE, count=3))
    if blind:
        world.sandbox.faults.order(FaultOrder("error_503", FIND, count=None))
    assert isinstance(world.ask(1099), PaymentError)
    world.sandbox.faults.clear()


def unknown_made(world: World) -> None:
    _unanswered(world, "lost_after")


def unknown_not_made(world: World) -> None:
    _unanswered(world, "lost_before")


def unknown_made_old(world: World) -> None:
    unknown_made(world)
    world.sleep(23 * HOUR - 30)


def unknown_old(world: World) -> None:
    unknown_not_made(world)
    world.sleep(25 * HOUR)


def saved_500(world: World) -> None:
    _unanswered(world, "error_500_without_object", blind=True)


def saved_500_made(world: World) -> None:
    _unanswered(world, "error_500_with_object", blind=True)


def saved_500_late(world: World) -> None:
    """Attempt 1 created a PaymentIntent that appears late; attempt 2 is unknown."""
    world.sandbox.faults.order(FaultOrder("late_object", CREATE, seconds=30.0))
    world.sandbox.faults.order(FaultOrder("lost_after", CREATE, skip=2, count=3))
    assert isinstance(world.ask(1099), PaymentError)
    world.sandbox.faults.clear()
    world.sleep(40)


def given_up_late(world: World) -> None:
    """The reconciler closed the attempt before its PaymentIntent appeared; no secret is out."""
    world.sandbox.faults.order(FaultOrder("late_object", CREATE, seconds=30.0))
    world.sandbox.faults.order(FaultOrder("lost_before", CREATE, skip=1, count=2))
    assert isinstance(world.ask(1099), PaymentError)
    world.sandbox.faults.clear()
    record = world.resolve()
    assert record
    assert record.state == "rejected"
    world.sleep(40)


def lost_record(world: World) -> None:
    created(world)
    _forget(world)


def lost_canceled(world: World) -> None:
    """Attempt 1 was canceled, attempt 2 was returned, and the store lost the order."""
    canceled(world)
    created(world)
    _forget(world)


def lost_rejection(world: World) -> None:
    """Stripe rejected attempt 1, attempt 2 was returned, and the store lost the order."""
    assert isinstance(world.ask(10), PaymentError)
    created(world)
    _forget(world)


def rejected_unrecorded(world: World) -> None:
    """Stripe rejected attempt 1 during execution, and the store has no record of the order."""
    body = b"amount=1099&currency=usd&metadata[order_id]=A-1"
    key = {"idempotency-key": idempotency_key(None, ORDER.order_id)}
    started = world.sandbox.begin("POST", "/v1/payment_intents", {**HEADERS, **key}, body)
    assert isinstance(started, Execution)
    params = {**started.admitted.params, "customer": "cus_missing"}
    refused = dataclasses.replace(
        started, admitted=dataclasses.replace(started.admitted, params=params)
    )
    assert world.sandbox.finish(refused).status == 400


def _forget(world: World) -> None:
    record = world.store.read(ORDER)
    assert record
    assert world.store.forget(record)


def lost_after_saved_500(world: World) -> None:
    """The PaymentIntent of a saved 500 was adopted and returned; the store lost the order."""
    world.sandbox.faults.order(FaultOrder("error_500_with_object", CREATE))
    created(world)
    world.sleep(60)
    _forget(world)


def canceled_went_back(world: World) -> None:
    """Attempt 1 was canceled, attempt 2 was returned, and the store reverted to attempt 1."""
    canceled(world)
    created(world)
    world.go_back(next(each for each in reversed(world.store.versions) if each.attempt == 1))


def canceled_went_back_old(world: World) -> None:
    """The same, after Stripe forgot the key of attempt 2."""
    canceled_went_back(world)
    world.sleep(25 * HOUR)


def claimed_by_a_clock_ahead(world: World) -> None:
    """A worker with a clock three hours ahead claimed the order, and was killed."""
    unknown_not_made(world)
    record = world.store.read(ORDER)
    assert record
    ahead = replace(record, version=record.version + 1, locked_until=world.now + 3 * HOUR)
    assert world.store.replace(record, replace(ahead, owner="killed"))


def chain_went_back(world: World) -> None:
    """Attempts 1 and 2 were canceled, attempt 3 is out, and the store went back to attempt 1.

    Stripe has forgotten the key of attempt 2, and its search may not show attempt 3 yet.
    """
    canceled(world)
    second = created(world).intent.id
    world.sleep(25 * HOUR)
    world.act(second, "cancel")
    created(world)
    world.go_back(next(each for each in reversed(world.store.versions) if each.attempt == 1))
    world.sleep(600)


def given_unrecorded(world: World) -> None:
    """Rule 9: the service returned the answer, but the store failed to record it."""
    created(world)
    record = world.store.read(ORDER)
    assert record
    missed = replace(record, state="pending", payment_intent_id=None, payment_status=None)
    world.store._records[ORDER] = replace(missed, version=missed.version + 1)


def given_unrecorded_and_late(world: World) -> None:
    """The same, with a second PaymentIntent that appeared late, a day ago."""
    given_unrecorded(world)
    world.sleep(5)
    late = b"amount=1099&currency=usd&metadata[order_id]=A-1"
    assert world.sandbox.handle("POST", "/v1/payment_intents", HEADERS, late).status == 200
    world.sleep(25 * HOUR)


SMALL_REFUND = 300


def authorized(world: World) -> None:
    """The order waits for its capture."""
    answer = world.ask(1099, capture_method="manual")
    assert isinstance(answer, Created)
    world.judge.out.add(answer.intent.id)
    world.act(answer.intent.id, "confirm")


def _refund_unanswered(
    world: World, kind: str, amount: int = SMALL_REFUND, seconds: float = 0.0
) -> None:
    paid(world)
    world.sandbox.faults.order(FaultOrder(kind, REFUND, count=3, seconds=seconds))
    world.refund("R-1", amount)
    world.sandbox.faults.clear()


def refund_unknown_made(world: World) -> None:
    """The answer was lost, and so was the look that followed it."""
    _refund_unanswered(world, "lost_after")


def refund_unknown_made_old(world: World) -> None:
    """The same, a day ago: Stripe has forgotten the key."""
    refund_unknown_made(world)
    world.sleep(25 * HOUR)


def refund_unknown_not_made(world: World) -> None:
    _refund_unanswered(world, "lost_before")


def refund_saved_500(world: World) -> None:
    _refund_unanswered(world, "error_500_without_object")


def refund_saved_500_late(world: World) -> None:
    """The refund appears half an hour after its 500."""
    _refund_unanswered(world, "late_object", seconds=1800.0)


def refund_saved_500_late_of_most(world: World) -> None:
    """The same, of most of the money."""
    _refund_unanswered(world, "late_object", 700, seconds=1800.0)


def refund_under_way(world: World) -> None:
    """The caller gave up on the refund of most of the money; Stripe executes it later."""
    _refund_unanswered(world, "lost_before", 700)
    [intent] = world.intents()
    body = f"payment_intent={intent['id']}&amount=700"
    body += "&metadata[order_id]=A-1&metadata[refund_id]=R-1"
    key = {"idempotency-key": refund_key(None, ORDER.order_id, "R-1", 1)}
    started = world.sandbox.begin("POST", "/v1/refunds", {**HEADERS, **key}, body.encode())
    assert isinstance(started, Execution)
    world.executing.append((world.now + 60.0, started))


def refund_lost(world: World) -> None:
    """The refund was made and answered, and the store lost the order."""
    paid(world)
    world.refund("R-1", SMALL_REFUND)
    _forget(world)


def refund_lost_late(world: World) -> None:
    """The refund appears half an hour after its 500, and the store lost the order."""
    refund_saved_500_late(world)
    _forget(world)


EDITED = (1099, 2000)
ONE = (1099,)
UPDATE: dict[str, Actor] = {"update": Updater}
TWO_UPDATES: dict[str, Actor] = {"update": Updater, "other": partial(Updater, amount=3000)}
CANCEL: dict[str, Actor] = {"cancel": Canceler}
NEWS: dict[str, Actor] = {"news": partial(Hook, kind="payment_intent.processing")}
WALK: dict[str, Actor] = {"walk": Walker}
ALL: dict[str, Actor] = {**UPDATE, **CANCEL, **WALK, **NEWS, "hook": Hook, "look": Looker}

# Two of these fit into the payment, so that Stripe's own check hides no second refund.
SMALL = partial(Refunder, amount=SMALL_REFUND)
COPIES: dict[str, Actor] = {"r1": SMALL, "copy": SMALL}
RACE: dict[str, Actor] = {"r1": Refunder, "r2": partial(Refunder, refund_id="R-2")}
TOLD: dict[str, Actor] = {"r1": SMALL, "hook": MoneyHook}
REFUNDED: dict[str, Actor] = {"r1": SMALL, "walk": Walker}
CAPTURED: dict[str, Actor] = {"c1": Capturer, "c2": partial(Capturer, amount=500)}
MONEY: dict[str, Actor] = {**RACE, "copy": Refunder, "hook": MoneyHook, "walk": Walker}

ONE_GATEWAY = (
    Scenario("new order", nothing, fresh=True),
    Scenario("new order, two amounts", nothing, EDITED, EDITED),
    Scenario("new order, one amount too small", nothing, (10, 1099)),
    Scenario("created", created),
    Scenario("created, other amount", created, EDITED, EDITED),
    Scenario("paid", paid),
    Scenario("canceled", canceled),
    Scenario("canceled, two amounts", canceled, EDITED, EDITED),
    Scenario("unknown, made", unknown_made),
    Scenario("unknown, made, two amounts", unknown_made, EDITED, EDITED),
    Scenario("unknown, not made", unknown_not_made),
    Scenario("unknown, made, key nearly old", unknown_made_old),
    Scenario("unknown, not made, key old", unknown_old),
    Scenario("saved 500", saved_500),
    Scenario("saved 500, made", saved_500_made),
    Scenario("saved 500, made late; attempt 2 unknown", saved_500_late),
    Scenario("given up, made late", given_up_late, (1099,), beside={"hook": Hook}),
    Scenario("rejected, record lost", rejected_unrecorded, within_the_day=True),
    Scenario("given out unrecorded", given_unrecorded),
    Scenario("given out unrecorded, a late one beside it, key old", given_unrecorded_and_late),
    Scenario("record lost", lost_record, within_the_day=True),
    Scenario("record lost, attempt 1 canceled", lost_canceled, within_the_day=True),
    Scenario("claimed by a clock hours ahead", claimed_by_a_clock_ahead),
    Scenario("saved 500, adopted, record lost", lost_after_saved_500, within_the_day=True),
    Scenario("canceled, attempt 2 lost", canceled_went_back),
    Scenario("canceled twice, attempts 2 and 3 lost", chain_went_back),
    Scenario("canceled, attempt 2 lost a day ago", canceled_went_back_old),
    Scenario(
        "record lost, attempt 1 rejected",
        lost_rejection,
        (10, 1099),
        (1099, 10),
        within_the_day=True,
    ),
    Scenario("created, and updated", created, EDITED, EDITED, beside=UPDATE),
    Scenario("created, and updated twice", created, (), (1099, 2000, 3000), beside=TWO_UPDATES),
    Scenario("created, canceled, updated", created, (), EDITED, beside={**CANCEL, **UPDATE}),
    Scenario("created, and canceled", created, beside=CANCEL),
    Scenario("created, and told of", created, EDITED, EDITED, beside={**NEWS, **UPDATE}),
    Scenario("unknown, made, and updated", unknown_made, (), EDITED, beside=UPDATE),
    Scenario("unknown, made, and canceled", unknown_made, ONE, beside=CANCEL),
    Scenario("unknown, made, and walked", unknown_made, ONE, beside=WALK),
    Scenario("saved 500, and walked", saved_500, ONE, beside=WALK),
    Scenario("given up, made late, and looked at", given_up_late, ONE, beside={"look": Looker}),
    Scenario("given up, made late, and walked", given_up_late, ONE, beside=WALK),
    Scenario(
        "given out unrecorded, a late one beside it, and walked",
        given_unrecorded_and_late,
        ONE,
        beside=WALK,
    ),
    Scenario("paid, one refund twice", paid, (), beside=COPIES),
    Scenario("paid, two refunds of too much", paid, (), beside=RACE),
    Scenario("paid, refunded and told of", paid, (), beside=TOLD),
    Scenario("paid, refunded and walked", paid, (), beside=REFUNDED),
    Scenario("refund unknown, made", refund_unknown_made, (), beside=COPIES),
    Scenario("refund unknown, made a day ago", refund_unknown_made_old, (), beside=COPIES),
    Scenario("refund unknown, not made", refund_unknown_not_made, (), beside=COPIES),
    Scenario("refund of a saved 500", refund_saved_500, (), beside=COPIES),
    Scenario("refund of a saved 500, made late", refund_saved_500_late, (), beside=COPIES),
    Scenario("refund of most, made late", refund_saved_500_late_of_most, (), beside=RACE),
    Scenario("refund of most, under way", refund_under_way, (), beside=RACE),
    Scenario("refund made, record lost", refund_lost, (), beside=COPIES, within_the_day=True),
    Scenario(
        "refund made late, record lost", refund_lost_late, (), beside=COPIES, within_the_day=True
    ),
    Scenario("authorized, two captures", authorized, (), ONE, beside=CAPTURED),
    Scenario("authorized, captured and canceled", authorized, (), ONE, beside=CAPTURED | CANCEL),
    Scenario("paid, and all at its money", paid, (), beside=MONEY, crowd=True),
    Scenario("refund under way, all at it", refund_under_way, (), beside=MONEY, crowd=True),
    Scenario(
        "refund of most late, all at it",
        refund_saved_500_late_of_most,
        (),
        beside=MONEY,
        crowd=True,
    ),
    Scenario("created, and all at it", created, EDITED, EDITED, beside=ALL, crowd=True),
    Scenario("unknown, made, and all at it", unknown_made, EDITED, EDITED, beside=ALL, crowd=True),
    Scenario(
        "given up, made late, and all at it", given_up_late, EDITED, EDITED, beside=ALL, crowd=True
    ),
)

# One number for each: new ones come last, so that the seeds of the others stay.
SCENARIOS = (*ONE_GATEWAY, *GATED_SCENARIOS)
