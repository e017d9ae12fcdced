"""The scenarios with two gateways: the history of the order before the workers start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from payment_service.errors import PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.sent_params import SentParams
from payment_service.payments.changes.cancel import cancel_order
from payment_service.payments.creation.states import Created
from payment_service.payments.idempotency_key import gated_capture_key, idempotency_key
from payment_service.payments.recovery.witnesses import Pace, Witnesses
from sandbox.execution import Execution
from sandbox.faults import FaultOrder, Match
from tests.proof.explorer.actors import Actor, Canceler, Hook, Looker, Updater, Walker
from tests.proof.explorer.gated_actors import Approver, GatedHook, Witnesser
from tests.proof.explorer.gated_world import BOTH, PAYPAL, STRIPE, OnItsWay, Second, TwoGateways
from tests.proof.explorer.scenario import CREATE, Scenario
from tests.proof.explorer.world import HEADERS, HOUR, ORDER, World

# Its path begins so, and only a capture is a POST below an order.
CAPTURE = Match(method="POST", path="/v2/checkout/orders/")

ONLY_STRIPE = frozenset({STRIPE})


def _second(world: World) -> Second:
    assert world.second
    return world.second


def nothing(world: World) -> None:
    """The order is new."""


def silent(world: World, kind: str = "lost before") -> None:
    """Stripe gives no answer, from the start until it is back."""
    _second(world).silent = kind


def _unknown(world: World, kind: str) -> None:
    """A request that accepts only Stripe got no answer from it."""
    world.sandbox.faults.order(FaultOrder(kind, CREATE, count=3))
    assert isinstance(world.ask(1099, ONLY_STRIPE), PaymentError)
    world.sandbox.faults.clear()


def unknown_made(world: World) -> None:
    _unknown(world, "lost_after")


def unknown_not_made(world: World) -> None:
    _unknown(world, "lost_before")


def given_out(world: World) -> str:
    """The order has its PaymentIntent, and the client_secret was returned."""
    answer = world.ask(1099)
    assert isinstance(answer, Created)
    assert answer.gateway == STRIPE
    world.judge.out.add(answer.intent.id)
    return answer.intent.id


def given_out_then_silent(world: World) -> None:
    given_out(world)
    silent(world)


def switched(world: World, kind: str = "lost_after") -> str:
    """Stripe's answer was lost, and the service returned PayPal's page."""
    world.sandbox.faults.order(FaultOrder(kind, CREATE, count=3))
    answer = world.ask(1099)
    world.sandbox.faults.clear()
    assert isinstance(answer, Created), answer
    assert answer.gateway == PAYPAL
    return answer.intent.id


def approved(world: World, kind: str = "lost_after") -> str:
    """The same, and the shopper approved it."""
    order_id = switched(world, kind)
    assert _second(world).approve(order_id)
    return order_id


def approved_then_silent(world: World) -> None:
    approved(world)
    silent(world)


def approved_and_old(world: World) -> None:
    """The shopper approved it and closed the window; the service's next look is due."""
    approved(world)
    world.sleep(90)


def claimed(world: World, kind: str) -> None:
    """A capture was sent, and its sender heard nothing more of PayPal."""
    approved(world)
    _second(world).sandbox.faults.order(
        FaultOrder("error_503", Match(method="GET"), skip=1, count=None)
    )
    _second(world).sandbox.faults.order(FaultOrder(kind, CAPTURE, count=None))
    assert isinstance(world.ask(1099), PaymentError)
    _second(world).sandbox.faults.clear()


def capture_on_its_way(world: World, *, declined: bool = False) -> None:
    """The first send of a capture got no answer, and arrives almost an hour later.

    `declined`: a second send was declined, so that the claim is taken back.
    """
    claimed(world, "lost_before")
    record = world.store.versions[-1]
    order_id, sent = record.payment_intent_id, SentParams.parse(record.params)
    assert order_id
    gateway = world.calm_context().gated[PAYPAL]
    key = gated_capture_key(PAYPAL, order_id, 1)
    deadline = Deadline.after(HOUR, world.clock)
    if declined:
        _second(world).sandbox.orders[order_id].plan = "INSTRUMENT_DECLINED"
        assert isinstance(world.ask(1099), Created)
        assert _second(world).approve(order_id)

    def arrive() -> None:
        # The reason to refuse the sends between may be gone.
        _second(world).sandbox.orders[order_id].plan = "COMPLETED"
        gateway.capture(order_id, sent, key, deadline)

    _second(world).executing.append((world.now + HOUR - 100, OnItsWay(arrive)))


def paid_leftover(world: World) -> None:
    """Other software of the shop gave the leftover's secret away, and the shopper paid it."""
    approved(world)
    [leftover] = world.intents()
    world.act(leftover["id"], "confirm")


def late_leftover(world: World) -> None:
    """Stripe executes the creation of the passed-over attempt a minute after the switch."""
    switched(world, "lost_before")
    body = b"amount=1099&currency=usd&metadata[order_id]=A-1"
    key = {"idempotency-key": idempotency_key(None, ORDER.order_id, 1)}
    started = world.sandbox.begin("POST", "/v1/payment_intents", {**HEADERS, **key}, body)
    assert isinstance(started, Execution)
    world.executing.append((world.now + 60.0, started))
    world.sleep(16)


def given_out_forgotten(world: World) -> None:
    """The store forgot a returned PaymentIntent, and the order went on at PayPal."""
    given_out(world)
    world.go_back(world.store.versions[0])
    world.sleep(20)
    approved(world)


def given_out_forgotten_then_silent(world: World) -> None:
    given_out_forgotten(world)
    silent(world)


def capture_forgotten(world: World) -> None:
    """PayPal's order was captured, and the store went back to before the claim."""
    approved(world)
    given = world.store.versions[-1]
    answer = world.ask(1099)
    assert isinstance(answer, Created)
    assert answer.intent.status == "succeeded"
    world.go_back(given)


def captured(world: World, kind: str = "lost_after") -> None:
    """PayPal took the money, and the witness is due."""
    approved(world, kind)
    answer = world.ask(1099)
    assert isinstance(answer, Created)
    assert answer.intent.status == "succeeded"
    world.sleep(61)


def witnessed(world: World, kind: str = "lost_after") -> None:
    """The witness is made."""
    captured(world, kind)
    context = world.calm_context()
    job = Witnesses(context, lambda _: context, 8.0, Pace(world.clock))
    assert [job.run(record) for record in job.due(10)] == [True]


def witnessed_then_lost(world: World, kind: str = "lost_after") -> None:
    """The store lost the whole record afterwards, within a day."""
    witnessed(world, kind)
    world.sleep(20 * HOUR)
    world.lose_record()


def witnessed_then_lost_too(world: World) -> None:
    """The same, and Stripe had made nothing before the witness."""
    witnessed_then_lost(world, "lost_before")


def switch_forgotten(world: World) -> None:
    """PayPal's order was captured, and the store went back to the attempt before its answer."""
    approved(world)
    assert isinstance(world.ask(1099), Created)
    pending = [each for each in world.store.versions if each.attempt == 2]
    world.go_back(pending[0])
    world.sleep(20)


def canceled(world: World) -> None:
    """The shop canceled the order at PayPal; Stripe has the leftover."""
    switched(world)
    deadline = Deadline.after(8.0, world.clock)
    cancel_order(world.calm_context(), ORDER, "requested_by_customer", deadline)


def expired(world: World) -> None:
    """Without an approval, PayPal has forgotten the order, and Stripe the leftover's key."""
    switched(world)
    world.sleep(25 * HOUR)


ONE = (1099,)
EDITED = (1099, 2000)
CANCEL: dict[str, Actor] = {"cancel": Canceler}
LOOK: dict[str, Actor] = {"look": Looker}
JOB: dict[str, Actor] = {"job": Approver}
HOOK: dict[str, Actor] = {"hook": GatedHook}
STRIPE_HOOK: dict[str, Actor] = {"hook": Hook}
UPDATE: dict[str, Actor] = {"update": Updater}
WALK: dict[str, Actor] = {"walk": Walker}
WITNESS: dict[str, Actor] = {"witness": Witnesser}
ALL: dict[str, Actor] = {**CANCEL, **LOOK, **JOB, **HOOK, **WALK, "news": Hook}

# With Stripe silent, `at_once` does not keep the promise for a store that goes back (rule 19).
AT_ONCE, WAITS = TwoGateways(), TwoGateways(capture_waits=True, forgets=9)
SURE = TwoGateways(forgets=0)
OPEN = TwoGateways(circuit_open=True)
MIXED = TwoGateways(accepts=(BOTH, ONLY_STRIPE))


def _two(
    name: str,
    before: Callable[[World], object],
    two: TwoGateways = AT_ONCE,
    amounts: tuple[int, ...] = (1099, 1099),
    beside: dict[str, Actor] | None = None,
    last: tuple[int, ...] = ONE,
    *,
    crowd: bool = False,
) -> Scenario:
    return Scenario(
        f"two gateways: {name}", before, amounts, last, beside=beside or {}, two=two, crowd=crowd
    )


GATED_SCENARIOS = (
    _two("new order", nothing),
    _two("new order, Stripe silent", silent, SURE),
    _two("new order, Stripe silent, captures wait", silent, WAITS),
    _two("new order, Stripe works on in silence", partial(silent, kind="lost after"), WAITS),
    _two("new order, circuit open", nothing, OPEN),
    _two("new order, one accepts Stripe only", silent, MIXED),
    _two("unknown, made", unknown_made),
    _two("unknown, not made", unknown_not_made),
    _two("given out, then Stripe silent", given_out_then_silent),
    _two("given out, and canceled", given_out, beside=CANCEL, amounts=ONE),
    _two("switched", switched),
    _two("switched, and canceled", switched, amounts=ONE, beside=CANCEL),
    _two("switched, and updated", switched, amounts=ONE, beside=UPDATE, last=EDITED),
    _two("switched, and looked at", switched, amounts=ONE, beside=LOOK),
    _two("switched, and Stripe's event", switched, amounts=ONE, beside=STRIPE_HOOK),
    _two("approved", approved),
    _two("approved, Stripe silent", approved_then_silent, SURE),
    _two("approved, Stripe silent, captures wait", approved_then_silent, WAITS),
    _two("approved, and canceled", approved, amounts=ONE, beside=CANCEL),
    _two("approved, and updated", approved, amounts=ONE, beside=UPDATE, last=EDITED),
    _two("approved, and PayPal's event", approved, amounts=ONE, beside=HOOK),
    _two("approved, and Stripe's event", approved, amounts=ONE, beside=STRIPE_HOOK),
    _two("approved, and the background job", approved_and_old, amounts=ONE, beside=JOB),
    _two("approved, and walked", approved, amounts=ONE, beside=WALK),
    _two("claimed, captured", partial(claimed, kind="error_500_with_object")),
    _two("claimed, not captured", partial(claimed, kind="error_503")),
    _two("claimed, and canceled", partial(claimed, kind="error_503"), amounts=ONE, beside=CANCEL),
    _two("capture on its way", capture_on_its_way, SURE, amounts=ONE),
    _two("capture on its way, and canceled", capture_on_its_way, SURE, amounts=ONE, beside=CANCEL),
    _two(
        "capture on its way, declined",
        partial(capture_on_its_way, declined=True),
        SURE,
        amounts=ONE,
    ),
    _two("given out forgotten, approved", given_out_forgotten, WAITS),
    _two("given out forgotten, approved, silent", given_out_forgotten_then_silent, WAITS),
    _two("capture forgotten", capture_forgotten),
    _two("capture forgotten, and canceled", capture_forgotten, amounts=ONE, beside=CANCEL),
    _two("captured, and the witness", captured, amounts=ONE, beside=WITNESS),
    _two(
        "captured, leftover not made, and the witness",
        partial(captured, kind="lost_before"),
        amounts=ONE,
        beside=WITNESS,
    ),
    _two("witness made, record lost", witnessed_then_lost, WAITS, last=EDITED),
    _two("witness made, record lost, two amounts", witnessed_then_lost, WAITS, EDITED, last=EDITED),
    _two("witness made, record lost, no leftover", witnessed_then_lost_too, WAITS),
    _two("witness made, record lost, looked at", witnessed_then_lost, WAITS, ONE, LOOK),
    _two("switch forgotten, and walked", switch_forgotten, amounts=ONE, beside=WALK),
    _two("switch forgotten, and canceled", switch_forgotten, amounts=ONE, beside=CANCEL),
    _two("paid leftover", paid_leftover, WAITS),
    _two("paid leftover, and looked at", paid_leftover, WAITS, amounts=ONE, beside=LOOK),
    _two("late leftover, and looked at", late_leftover, amounts=ONE, beside=LOOK),
    _two("canceled at PayPal", canceled),
    _two("canceled at PayPal, and looked at", canceled, amounts=ONE, beside=LOOK),
    _two("expired at PayPal", expired),
    _two("expired at PayPal, and looked at", expired, amounts=ONE, beside=LOOK),
    _two("switched, and all at it", switched, WAITS, beside=ALL, crowd=True),
    _two("approved, and all at it", approved, WAITS, beside=ALL, crowd=True),
    _two("late leftover, and all at it", late_leftover, WAITS, beside=ALL, crowd=True),
)
