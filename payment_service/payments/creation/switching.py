"""The gateway of a new attempt, and the attempts that may be passed over to another gateway.

Health decides where a new attempt begins, never what becomes of one that has begun (rule 20). The
numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.errors import BadRequest
from payment_service.gateways.deadline import Deadline
from payment_service.payments.context import Context
from payment_service.payments.record import transitions
from payment_service.payments.record.gateways import Leftover
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Lease, Wanted

# Each leftover is looked for until its gateway answers. An order that a flapping outage passes over
# so often stays where it is (rule 17).
MAX_LEFTOVERS = 10

# An attempt at the first gateway that begins late gets this long, enough for a slow answer.
LEAST_SHARE_SECONDS = 2.0


def accepts(context: Context, wanted: Wanted, gateway: str) -> bool:
    """Whether the request can use a payment at this gateway."""
    return (gateway if gateway in context.gated else context.gateway.facts.name) in wanted.accepts


def second_place(
    context: Context, wanted: Wanted, record: OrderRecord | None = None
) -> Wanted | None:
    """Return the request with its parameters at a gated gateway that can take the order.

    None: the request accepts none, asks for what none can promise, or failover is off; or the
    record of an open gateway has too many leftovers to become another one.
    """
    if context.failover is None:
        return None
    if record is not None and not context.is_gated(record) and _has_most_leftovers(record):
        return None
    for sent in wanted.alternatives:
        if sent.gateway in wanted.accepts and sent.gateway in context.gated:
            return replace(wanted, sent=sent)
    return None


def begins_open(context: Context, wanted: Wanted) -> bool:
    """Whether a new order of this request begins at the open gateway, whatever its record says."""
    failover = context.failover
    if not accepts(context, wanted, wanted.sent.gateway):
        return False
    is_well = failover is None or not failover.circuits.is_open(context.gateway.facts.name)
    return is_well or second_place(context, wanted) is None


def begin_at(
    context: Context,
    wanted: Wanted,
    record: OrderRecord | None = None,
    *,
    ignore_circuit: bool = False,
) -> Wanted:
    """Return the request with its parameters at the gateway of its next attempt.

    `ignore_circuit`: at the open gateway if the request accepts it, even if its circuit is open.
    Raises BadRequest if the request accepts no gateway that can take the order. It may use the
    probe of an open circuit, so call it once for each attempt.
    """
    second = second_place(context, wanted, record)
    if accepts(context, wanted, wanted.sent.gateway):
        if second is None or ignore_circuit or lets_through(context):
            return wanted
        return second
    if second is None:
        message = "accept_gateways names no gateway that can take this order."
        raise BadRequest(message, param="accept_gateways")
    return second


def is_resent(context: Context, wanted: Wanted, record: OrderRecord) -> bool:
    """Whether a request that takes a pending attempt over sends its key again (rule 2).

    At a gated gateway only the same request does, and only a young key. It does so even if the
    first gateway is well by now: a store that went back may have lost a capture of the attempt.
    """
    if not context.is_gated(record):
        return True
    accepted = accepts(context, wanted, record.sent.gateway)
    return accepted and wanted.fingerprint == record.fingerprint and _is_young(context, record)


def _is_young(context: Context, record: OrderRecord) -> bool:
    """Whether the gated gateway certainly knows the key of an attempt, if it was ever sent.

    False also for a young attempt of an old order: the record has the time of the order's first.
    """
    age = context.clock() - record.first_sent_at
    return age < context.gated[record.sent.gateway].facts.key_is_safe_seconds


def is_asked_again(context: Context, wanted: Wanted, record: OrderRecord) -> bool:
    """Whether a request sends a rejected attempt again; else it begins the next attempt.

    A rejection at a gated gateway leaves nothing, so its key need not be used up.
    """
    return not context.is_gated(record) and accepts(context, wanted, record.sent.gateway)


def lets_through(context: Context) -> bool:
    """Whether a new attempt may go to the open gateway; see Circuits."""
    failover = context.failover
    return failover is None or failover.circuits.lets_through(context.gateway.facts.name)


def share(context: Context, began: float, deadline: Deadline) -> Deadline:
    """Return the end of the first gateway's part of a request that `began` then (monotonic)."""
    assert context.failover
    least = deadline.monotonic() + LEAST_SHARE_SECONDS
    ends_at = max(began + context.failover.after_seconds, least)
    return Deadline(min(ends_at, deadline.at), deadline.monotonic)


def next_attempt(
    context: Context, record: OrderRecord, wanted: Wanted, lease: Lease, why: str
) -> OrderRecord:
    """Build the record of the attempt after this one, at the gateway of `wanted`.

    The caller has checked that the current one is over (rule 3), or passes it over (rule 15).
    `why`: a word for the history of an order that changes its gateway.
    """
    leaves, enters = context.is_gated(record), wanted.sent.gateway in context.gated
    if not leaves and not enters:
        return transitions.next_attempt(record, wanted, lease)
    left = None if leaves else _leftover(context, record, lease.now)
    begun = transitions.moved(record, wanted, lease, left, why)
    if enters:
        return begun
    # Rule 3: the record's lost versions may have given out a payment at this gateway.
    return transitions.unproven(begun, context.gateway_of(begun).facts, lease.now)


def _leftover(context: Context, record: OrderRecord, now: float) -> Leftover | None:
    """Rule 17: what the attempt may have made, and what earlier ones that are still looked for."""
    looked_for = record.follow_up.look_ups
    if record.state != "pending" and not looked_for:
        return None
    facts = context.gateway_of(record).facts
    since = transitions.earliest_use(record, facts)
    if looked_for and record.follow_up.look_since:
        since = min(since, record.follow_up.look_since)
    # No request, also of an earlier owner, works on an order for longer than `lock`.
    return Leftover(facts.name, record.attempt, since, now + context.timing.lock)


def _has_most_leftovers(record: OrderRecord) -> bool:
    return len(record.follow_up.leftovers) >= MAX_LEFTOVERS
