"""The invariants of an order that may be paid at either of two gateways (rules 13 to 22)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from payment_service.errors import AlreadyPaid, InFlight, OrderReused, PaymentError
from payment_service.gateways.intent import CANCELED, TAKEN
from payment_service.gateways.paypal.names import invoice_id
from payment_service.payments.creation.states import Created
from payment_service.payments.idempotency_key import idempotency_key
from payment_service.payments.record.gated_transitions import PAID
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import Records
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.witnesses import Pace, Witnesses
from tests.proof.explorer.broken import Broken

if TYPE_CHECKING:
    from tests.proof.explorer.gated_world import Second
    from tests.proof.explorer.world import World

PAYPAL = "paypal"

# An hour after the last send and the longest lock, in rounds in which each look-up that is due
# runs once.
ROUNDS, ROUND_SECONDS = 5, 1500.0

DAY = 25 * 3600.0


class GatedJudge:
    """Knows what PayPal received, and what the service said of it."""

    def __init__(self, world: World, second: Second) -> None:
        self._world, self._second = world, second
        self._name = invoice_id(world.order)
        self.said_canceled: set[str] = set()

    def state(self) -> tuple[Any, ...]:
        """Return what the future depends on, hashable."""
        return tuple(sorted(self.said_canceled))

    @property
    def _went_back(self) -> bool:
        return self._world.judge.went_back

    def record(self) -> OrderRecord | None:
        """Return the record of the moment."""
        return Records(self._world.store).read(self._world.order)

    def captured(self) -> list[str]:
        """Return PayPal's orders whose money was taken, or is being taken."""
        return [
            order.id
            for order in self._second.sandbox.orders.values()
            if any(each["status"] in ("COMPLETED", "PENDING") for each in order.captures)
        ]

    def claimed(self) -> list[str]:
        """Return PayPal's order whose capture the record of the moment claims."""
        record = self.record()
        if record is None or record.state != "created" or record.sent.gateway != PAYPAL:
            return []
        kept, order_id = record.follow_up.gated_capture, record.payment_intent_id
        return [order_id] if order_id and kept and kept.claimed_at is not None else []

    def taken_attempt(self) -> int | None:
        """Return the attempt of the record whose payment at PayPal is captured or claimed."""
        taken = {*self.captured(), *self.claimed()}
        named = [each for each in self._world.store.versions if each.payment_intent_id in taken]
        return named[-1].attempt if named else None

    # After every step.

    def look(self) -> None:
        """Check that at most one payment can take money, and that at most one has taken it."""
        captured = self.captured()
        intents = self._world.intents()
        given = [each["id"] for each in intents if each["id"] in self._world.judge.out]
        canceled = [each["id"] for each in intents if each["status"] == CANCELED]
        payable = [each for each in given if each not in canceled]
        if len({*payable, *captured, *self.claimed()}) > 1:
            raise Broken("PayPal captured the order, and its PaymentIntent can still be paid")
        paid = [each["id"] for each in intents if each["status"] in TAKEN]
        if len(paid) + len(captured) > 1:
            raise Broken("the order was paid twice")
        if self.said_canceled & set(captured) and not self._went_back:
            raise Broken("what was said to be canceled was captured")

    # Requests that arrive at PayPal.

    def creation_arrives(self, key: str, body: bytes) -> None:
        """Rule 13: the record names PayPal and the attempt before PayPal receives the first byte.

        Rule 21: PayPal knows the order by one invoice id, whatever the attempt.
        """
        order = self._world.order
        keys = {
            idempotency_key(order.client_id, order.order_id, each.attempt, PAYPAL)
            for each in self._world.store.versions
            if to_gateway(each.params) == PAYPAL
        }
        if key not in keys and not self._went_back:
            raise Broken("rule 13: PayPal got a creation that the record did not name")
        if json.loads(body)["purchase_units"][0]["invoice_id"] != self._name:
            raise Broken("rule 21: the order has two names at PayPal")

    def capture_arrives(self, order_id: str) -> None:
        """Rule 18: a capture is of the recorded payment, at its price, after a claim."""
        record = self.record()
        if self._went_back:
            return
        if record is None or record.payment_intent_id != order_id:
            raise Broken("rule 18: a capture of what is not recorded")
        if order_id not in self.claimed() and record.payment_status not in PAID:
            raise Broken("rule 18: a capture without a claim")

    # Answers of the service.

    def released(self, created: Created, accepts: frozenset[str]) -> None:
        """Rule 14: the store knows every answer, and the caller accepts its gateway."""
        if created.gateway not in accepts:
            raise Broken("a request was answered with a gateway that it does not accept")
        versions = self._world.store.versions
        known = {each.payment_intent_id for each in versions if each.state == "created"}
        if created.intent.id not in known and not self._went_back:
            raise Broken("rule 14: a caller got a payment that is not recorded")

    def canceled(self, order_id: str) -> None:
        """The service confirms that PayPal's order takes no money any more."""
        if order_id in {*self.captured(), *self.claimed()}:
            raise Broken("a caller got the answer that a captured payment is canceled")
        if not self._went_back:
            self.said_canceled.add(order_id)

    # The end of a run, when both gateways answer again.

    def end(self, amounts: tuple[int, ...]) -> None:
        """Check leftovers, and that further requests get the order paid once."""
        world = self._world
        self._second.silent = None
        world.sleep(121.0)
        self.look()
        self._answered(amounts)
        self._let_look_ups_run()
        self._no_leftover()
        given = self._answered(amounts)
        if given is not None:
            self._pay(given)
        paid = self._answered(amounts)
        if paid is not None and paid.intent.status not in PAID:
            raise Broken("stuck: the shopper paid, and the order is not paid")
        world.sleep(DAY)
        later = self._answered(amounts)
        if (paid and paid.intent.id) != (later and later.intent.id):
            raise Broken("a paid order got another payment a day later")

    def _let_look_ups_run(self) -> None:
        context = self._world.calm_context()
        look_ups = LateLookUps(context, lambda _: context, 8.0)
        witnesses = Witnesses(context, lambda _: context, 8.0, Pace(self._world.clock))
        for _ in range(ROUNDS):
            self._world.sleep(ROUND_SECONDS)
            for record in look_ups.due(10):
                look_ups.run(record)
            for record in witnesses.due(10):
                witnesses.run(record)
            self.look()

    def _no_leftover(self) -> None:
        """Rule 17: an hour later nothing but the recorded payment can be paid at Stripe."""
        record = self.record()
        assert record
        for intent in self._world.intents():
            own = intent["id"] == record.payment_intent_id
            if not own and intent["status"] not in (CANCELED, *TAKEN) and not self._went_back:
                raise Broken("rule 17: a leftover can be paid")
        if record.follow_up.leftovers and not self._went_back:
            raise Broken("rule 17: a leftover stands in the record for good")

    def _pay(self, given: Created) -> None:
        if given.gateway == PAYPAL and given.intent.status not in PAID:
            self._second.approve(given.intent.id)
        elif given.intent.status not in PAID:
            self._world.act(given.intent.id, "confirm")
        self.look()

    def _answered(self, amounts: tuple[int, ...]) -> Created | None:
        """Ask as each request does; None if an operator must look."""
        answers = [self._world.ask(amount) for amount in amounts]
        if all(isinstance(each, InFlight) for each in answers):
            self._world.sleep(self._world.lock_seconds)
            answers = [self._world.ask(amount) for amount in amounts]
        if self._needs_operator(answers):
            return None
        given = [each for each in answers if isinstance(each, Created)]
        if not given:
            raise Broken(f"stuck: {'; '.join(map(_shown, answers))}")
        for answer in answers:
            if not isinstance(answer, Created | OrderReused):
                raise Broken(f"stuck: {_shown(answer)}")
        for each in given:
            if each.gateway != PAYPAL:
                self._world.judge.out.add(each.intent.id)
        self.look()
        record = self.record()
        if record is None or record.payment_intent_id != given[0].intent.id:
            raise Broken("the record does not name the payment that a caller got")
        if given[0].intent.status == CANCELED:
            raise Broken("a caller got a canceled payment")
        return given[0]

    def _needs_operator(self, answers: list[Created | PaymentError]) -> bool:
        """Rule 21: the store forgot a payment. Rule 18: PayPal forgot one that was claimed."""
        if self._went_back and any(isinstance(each, AlreadyPaid) for each in answers):
            return True
        return any(each not in self._second.sandbox.orders for each in self.claimed())


def to_gateway(params: str) -> str:
    """Return the gateway that a stored text of parameters names."""
    return str(json.loads(params).get("gateway", "stripe"))


def _shown(answer: PaymentError | Created) -> str:
    return f"{type(answer).__name__} {getattr(answer, 'code', '')}"
