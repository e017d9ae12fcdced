"""Fault injection: which requests fail, how, and how often.

A core fault changes Stripe's response; a transport fault changes its delivery. A request can have
one of each, for example a saved 500 whose response is lost.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from sandbox.authentication import named_account
from sandbox.form import Form
from sandbox.request import Request

CORE_KINDS = (
    "error_500_with_object",
    "error_500_without_object",
    "error_503",
    "late_object",
    "rate_limited",
    "lock_timeout",
    "key_in_use",
    "unauthorized",
    "forbidden",
    "html",
    "empty_object",
    "not_found_404",
    "request_timeout_408",
    "misdirected_421",
    "too_early_425",
)
TRANSPORT_KINDS = ("lost_before", "lost_after", "cut_body", "slow", "hang", "dribble")
KINDS = CORE_KINDS + TRANSPORT_KINDS


class BadOrder(ValueError):
    """The fault order is invalid; the message says why."""


@dataclass(frozen=True, slots=True)
class Match:
    """The requests to which an order applies; None or an empty text matches everything.

    `path` is a prefix, or the whole path if it ends in `$`. `order_id` is a prefix of
    metadata[order_id] in the request's parameters. `account` is the account of its API key.
    """

    method: str | None = None
    path: str = ""
    order_id: str | None = None
    idempotency_key: str | None = None
    account: str | None = None

    def covers(self, request: Request) -> bool:
        """Whether the order applies to a request."""
        path, key = request.path, request.key or ""
        return (
            self.method in (None, request.method)
            and (path == self.path[:-1] if self.path.endswith("$") else path.startswith(self.path))
            and (self.order_id is None or _order_id(request.params).startswith(self.order_id))
            and (self.idempotency_key is None or key.startswith(self.idempotency_key))
            and (self.account is None or named_account(request.headers) == self.account)
        )


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """One kind of fault for the requests of `match`: after `skip` of them, `count` times.

    With `count` None it never expires. `seconds` is real time for transport faults and sandbox
    time for late_object. `executes` says whether a hang, html or empty_object request executes.
    """

    kind: str
    match: Match = field(default_factory=Match)
    count: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    seconds: float = 60.0
    retry_after: float | None = 1.0
    executes: bool = True
    should_retry: bool | None = None


def stops_request(fault: FaultOrder) -> bool:
    """Whether the fault stops the request before it reaches the core."""
    return fault.kind == "lost_before" or (fault.kind == "hang" and not fault.executes)


def parse_order(given: Mapping[str, Any]) -> FaultOrder:
    """Parse an order from JSON, or raise BadOrder."""
    _known(given, FaultOrder)
    match = given.get("match", {})
    _known(match, Match)
    if given.get("kind") not in KINDS:
        raise BadOrder(f"kind must be one of {', '.join(KINDS)}")
    return FaultOrder(**{**given, "match": Match(**match)})


def _known(given: Mapping[str, Any], shape: type[FaultOrder] | type[Match]) -> None:
    if not isinstance(given, Mapping):
        raise BadOrder(f"{shape.__name__} must be an object")
    names = {item.name: item for item in fields(shape)}
    unknown = set(given) - set(names)
    if unknown:
        raise BadOrder(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    required = {n for n, i in names.items() if i.default is i.default_factory is MISSING}
    if required - set(given):
        raise BadOrder(f"missing: {', '.join(sorted(required - set(given)))}")


@dataclass(slots=True)
class _ActiveOrder:
    order: FaultOrder
    rng: random.Random
    matched: int = 0
    fired: int = 0

    def fires(self) -> bool:
        self.matched += 1
        order = self.order
        if self.matched <= order.skip or (order.count is not None and self.fired >= order.count):
            return False
        if order.probability < 1 and self.rng.random() >= order.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """The active orders, and how often each kind has fired. Not thread-safe."""

    def __init__(self) -> None:
        self._active: list[_ActiveOrder] = []
        self.fired: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._active)

    def order(self, *orders: FaultOrder) -> None:
        """Add orders; the first one that fires wins."""
        self._active += [_ActiveOrder(order, random.Random(order.seed)) for order in orders]

    def clear(self) -> None:
        """Delete the orders; keep the counts of fired faults."""
        self._active.clear()

    def draw(self, kinds: tuple[str, ...], request: Request) -> FaultOrder | None:
        """Return the fault of one of `kinds` that fires for this request, or None."""
        for active in self._active:
            order = active.order
            if order.kind in kinds and order.match.covers(request) and active.fires():
                self.fired[order.kind] += 1
                return order
        return None

    def copy(self) -> Faults:
        """Return an independent copy."""
        twin = Faults()
        twin._active = [replace(active, rng=_same_rng(active)) for active in self._active]
        twin.fired = self.fired.copy()
        return twin


def _same_rng(active: _ActiveOrder) -> random.Random:
    rng = random.Random(0)
    rng.setstate(active.rng.getstate())
    return rng


def _order_id(params: Form) -> str:
    metadata = params.get("metadata")
    found = metadata.get("order_id", "") if isinstance(metadata, dict) else ""
    return found if isinstance(found, str) else ""
