"""The rules, broken one by one: an explorer that finds none of these would prove nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from payment_service.errors import Refused, StoreDown
from payment_service.gateways.outcome import Declined
from payment_service.key_store.contract import KeyRecord, KeyStore
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.changes import cancel, update
from payment_service.payments.creation import attempt, create
from payment_service.payments.creation.adoption import Adoption
from payment_service.payments.creation.attempt import Attempt
from payment_service.payments.creation.owned_record import OwnedRecord
from payment_service.payments.creation.recorded_intent import fetch_recorded
from payment_service.payments.creation.states import Created, LookAgain
from payment_service.payments.idempotency_key import idempotency_key
from payment_service.payments.record import transitions
from payment_service.payments.record.lease_watch import LeaseWatch
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import to_stored
from payment_service.payments.record.transitions import Step
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.reconcile import Reconciler
from tests.proof.explorer import actors
from tests.proof.explorer.gated_mutants import GATED_MUTANTS, SWITCHES_LATER
from tests.proof.explorer.money_mutants import MONEY_MUTANTS
from tests.proof.explorer.wires import StepStore


class Broken:
    """A store that passes everything on; its heirs break one operation."""

    def __init__(self, inner: StepStore | MemoryStore) -> None:
        self.inner = inner
        self.raw = inner if isinstance(inner, MemoryStore) else inner._worker.world.store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, record: KeyRecord) -> None:
        """Write whatever is there."""
        self.raw._records[record.order] = record


class ClaimsLater(Broken):
    """The claim is kept in the process and stored with the result."""

    def claim(self, record: KeyRecord) -> KeyRecord:
        return self.inner.read(record.order) or record

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        if self.raw.read(current.order) is None:
            return self.inner.claim(new).owner == new.owner
        return self.inner.replace(current, new)


class ReadsThenWrites(Broken):
    """A claim reads, and writes in a second step."""

    def claim(self, record: KeyRecord) -> KeyRecord:
        held = self.inner.read(record.order)
        if held is None:
            self.inner.read(record.order)
            self.write(record)
        return held or record


class Unfenced(Broken):
    """A write goes through, whoever owns the record by now."""

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        self.inner.read(current.order)
        self.write(new)
        return True


def _steps(changed: dict[Step, Step]) -> Callable[[], AbstractContextManager[Any]]:
    real = transitions.next_step

    def next_step(record: OrderRecord, fingerprint: str, now: float) -> Step:
        step = real(record, fingerprint, now)
        return changed.get(step, step)

    return lambda: patch.object(transitions, "next_step", next_step)


@contextmanager
def _key_per_call() -> Iterator[None]:
    count = itertools.count()

    def key(client_id: str | None, order_id: str, number: int) -> str:
        return f"{idempotency_key(client_id, order_id, number)}-{next(count)}"

    with patch.object(attempt, "idempotency_key", key):
        yield


def _adopts_nothing() -> AbstractContextManager[Any]:
    return patch.object(attempt, "choose", lambda *_: Adoption(None, ()))


def _adopts_what_is_ending() -> AbstractContextManager[Any]:
    return patch.object(transitions, "is_ending", lambda *_: False)


def _cancels_afterwards() -> AbstractContextManager[Any]:
    real = OwnedRecord.finish

    def finish(self: OwnedRecord, adoption: Adoption, *more: Any, **named: Any) -> Any:
        answer = real(self, Adoption(adoption.chosen, ()), *more, **named)
        for stray in adoption.strays:
            self.cancel(stray)
        return answer

    return patch.object(OwnedRecord, "finish", finish)


def _unclear_is_final() -> AbstractContextManager[Any]:
    def unclear(self: Attempt, unclear: Any) -> LookAgain:
        self._reject(Declined(Refused("no"), replayed=False))
        return LookAgain()

    return patch.object(Attempt, "_unclear", unclear)


def _unrecorded_fails() -> AbstractContextManager[Any]:
    def unrecorded(self: OwnedRecord, intent: Any) -> Created:
        raise StoreDown("down")

    return patch.object(OwnedRecord, "answer_unrecorded", unrecorded)


def _old_no_is_new() -> AbstractContextManager[Any]:
    real = Attempt._declined
    return patch.object(
        Attempt, "_declined", lambda self, no: real(self, replace(no, replayed=False))
    )


def _paid_is_replaced() -> AbstractContextManager[Any]:
    real = create._Creation._serve

    def serve(self: Any, record: OrderRecord) -> Any:
        if fetch_recorded(self._context, record, self._deadline).status == "succeeded":
            return self._begin_next(record)
        return real(self, record)

    return patch.object(create._Creation, "_serve", serve)


def _claims_no_revision() -> AbstractContextManager[Any]:
    """An update looks at none that is under way."""

    real = update._Update.__init__

    def alone(self: Any, *given: Any) -> None:
        real(self, *given)
        self._kept = replace(self._kept, pending=None)

    return patch.object(update._Update, "__init__", alone)


def _forgets_the_unanswered() -> AbstractContextManager[Any]:
    def settle(self: Any, pending: Any, intent: Any) -> None:
        self._write(pending, None)

    return patch.object(update._Update, "_settle", settle)


def _update_has_the_last_word() -> AbstractContextManager[Any]:
    real = update._over

    def over(record: OrderRecord, change: Any, intent: Any, now: float, **_: Any) -> OrderRecord:
        done = real(record, change, intent, now, unchanged=True)
        return replace(done, payment_status=intent.status) if intent else done

    return patch.object(update, "_over", over)


def _cancels_what_came_since() -> AbstractContextManager[Any]:
    real = cancel.cancel_order

    def twice(context: Any, order: Any, reason: str, deadline: Any) -> Any:
        canceled = real(context, order, reason, deadline)
        held = context.records.read(order)
        again = held.state == "created" and held.payment_intent_id != canceled.id
        return real(context, order, reason, deadline) if again else canceled

    return patch.object(actors, "cancel_order", twice)


def _looks_at_any_record() -> AbstractContextManager[Any]:
    def held(self: Any, record: OrderRecord) -> OrderRecord | None:
        found: OrderRecord | None = self.context.records.read(record.order)
        return found

    return patch.object(LateLookUps, "_held", held)


def _walks_over_the_owner() -> AbstractContextManager[Any]:
    def settle(self: Any, order: Any, record: OrderRecord | None, intent: Any) -> None:
        if record is None:
            self._lost(order, intent)
        elif record.payment_intent_id != intent.id:
            self._stray(record, intent)
        else:
            self._own(record, intent)

    return patch.object(Reconciler, "_settle", settle)


def _looks_back_to_the_record() -> AbstractContextManager[Any]:
    return patch.object(transitions, "earliest_use", lambda record, _: record.first_sent_at)


def _key_is_new_on_an_old_record() -> AbstractContextManager[Any]:
    real = transitions.next_attempt

    def next_attempt(record: OrderRecord, wanted: Any, lease: Any) -> OrderRecord:
        return replace(real(record, wanted, lease), first_sent_at=lease.now)

    return patch.object(transitions, "next_attempt", next_attempt)


def _renews_for_anyone() -> AbstractContextManager[Any]:
    def renew(self: OwnedRecord) -> None:
        store = self._context.records.store
        raw = getattr(store, "raw", None) or store._worker.world.store  # type: ignore[attr-defined]
        record = to_stored(replace(self.record, locked_until=self._context.clock() + 4.0))
        raw._records[record.order] = replace(record, version=record.version + 1)
        self.renew_at = self._deadline.monotonic() + transitions.RENEW_AFTER_SECONDS

    return patch.object(OwnedRecord, "renew", renew)


def _unrecorded_for_good() -> AbstractContextManager[Any]:
    return patch.object(OwnedRecord, "holds_lease", lambda _: True)


def _never_watches() -> AbstractContextManager[Any]:
    return patch.object(LeaseWatch, "seen_for", lambda *_: 0.0)


def _watches_the_owner_only() -> AbstractContextManager[Any]:
    real = LeaseWatch.seen_for
    return patch.object(
        LeaseWatch,
        "seen_for",
        lambda self, of, lease, now: real(self, of, (lease[0], 0.0), now),
    )


def _same(store: Any) -> KeyStore:
    found: KeyStore = store
    return found


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule, and one way to break it. `scenarios`: where that can show, to look there only."""

    rule: int
    what: str
    scenarios: tuple[str, ...]
    patched: Callable[[], AbstractContextManager[Any]] = nullcontext
    store_of: Callable[[Any], Any] = _same


NEW, EDITED = ("new order",), ("new order, two amounts",)
BESIDE = ("given out unrecorded, a late one beside it, key old",)
UNRECORDED = ("given out unrecorded",)
LATE = ("given up, made late",)
REJECTED = ("rejected, record lost",)
UPDATED, TWICE = ("created, and updated",), ("created, and updated twice",)
CANCELED = ("created, and canceled",)
LOOKED = ("given up, made late, and looked at",)
WALKED = ("unknown, made, and walked", "saved 500, and walked", "given up, made late, and walked")
LOST_500 = ("saved 500, adopted, record lost",)
AHEAD = ("claimed by a clock hours ahead",)
WENT_BACK = ("canceled, attempt 2 lost a day ago",)
GIVE_UP = _steps({Step.TAKE_OVER: Step.BEGIN_NEXT})
NO_WAIT = _steps({Step.WAIT: Step.TAKE_OVER})

MUTANTS = (
    Mutant(1, "the claim is stored with the result", NEW, store_of=ClaimsLater),
    Mutant(2, "each call has a key of its own", ("record lost",), _key_per_call),
    Mutant(2, "an update without an answer is forgotten", TWICE, _forgets_the_unanswered),
    Mutant(3, "an unknown attempt is given up for the next", NEW, GIVE_UP),
    Mutant(3, "a look-up reaches back to the record only", LOST_500, _looks_back_to_the_record),
    Mutant(3, "a key on an old record counts as new", WENT_BACK, _key_is_new_on_an_old_record),
    Mutant(4, "a look-up adopts nothing", BESIDE, _adopts_nothing),
    Mutant(4, "strays are canceled once the other one is recorded", BESIDE, _cancels_afterwards),
    Mutant(4, "what is being canceled is adopted", LATE, _adopts_what_is_ending),
    Mutant(5, "a claim reads, then writes", NEW, store_of=ReadsThenWrites),
    Mutant(5, "only its end frees a lease that nobody renews", AHEAD, _never_watches),
    Mutant(5, "a watch does not begin again with each renewal", NEW, _watches_the_owner_only),
    Mutant(6, "a stale owner's write goes through", EDITED, store_of=Unfenced),
    Mutant(6, "a stale owner renews its lease", NEW, _renews_for_anyone),
    Mutant(6, "an update claims no revision", TWICE, _claims_no_revision),
    Mutant(6, "a cancellation is of what came since", CANCELED, _cancels_what_came_since),
    Mutant(6, "a look takes an owner's own for a stray", LOOKED, _looks_at_any_record),
    Mutant(6, "a walk takes an owner's own for a stray", WALKED, _walks_over_the_owner),
    Mutant(7, "a lock that still holds is taken over", NEW, NO_WAIT),
    Mutant(8, "what is not definitive is final", UNRECORDED, _unclear_is_final),
    Mutant(9, "no answer where the last write failed", NEW, _unrecorded_fails),
    Mutant(9, "an answer without the write after the lease", NEW, _unrecorded_for_good),
    Mutant(10, "an older rejection is taken for a new one", REJECTED, _old_no_is_new),
    Mutant(11, "a paid one is replaced", ("paid",), _paid_is_replaced),
    Mutant(11, "an update's answer has the last word", UPDATED, _update_has_the_last_word),
    *(Mutant(*given) for given in MONEY_MUTANTS),
    Mutant(*SWITCHES_LATER[:3], store_of=SWITCHES_LATER[3]),
    *(Mutant(*given) for given in GATED_MUTANTS),
)
