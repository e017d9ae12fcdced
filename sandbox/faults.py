"""Faults on demand: which request goes wrong, in which way, how often.

Core faults change what Stripe answers; transport faults change what arrives. A request can
meet one of each (a saved 500 whose answer is lost, say).
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
    "request_timeout_408",
    "misdirected_421",
    "too_early_425",
)
TRANSPORT_KINDS = ("lost_before", "lost_after", "cut_body", "slow", "hang", "dribble")
KINDS = CORE_KINDS + TRANSPORT_KINDS


class BadOrder(ValueError):
    """An order that the sandbox does not understand; the message says why."""


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests an order is about; what is None or empty matches everything.

    `path` is a prefix, or the whole path where it ends in `$`; `order_id` is a prefix of
    metadata[order_id] in the request's own parameters; `account` is what its API key names.
    """

    method: str | None = None
    path: str = ""
    order_id: str | None = None
    idempotency_key: str | None = None
    account: str | None = None

    def covers(self, request: Request) -> bool:
        """Whether a request is meant."""
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

    `count` None means for ever. `seconds` is real time for transport faults and sandbox time for
    late_object. `executes` says whether a hang, html or empty_object still does the work.
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


def keeps_away(fault: FaultOrder) -> bool:
    """Whether the request never reaches the core."""
    return fault.kind == "lost_before" or (fault.kind == "hang" and not fault.executes)


def parse_order(given: Mapping[str, Any]) -> FaultOrder:
    """Read an order from JSON or raise BadOrder."""
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
class _Standing:
    order: FaultOrder
    dice: random.Random
    met: int = 0
    fired: int = 0

    def strikes(self) -> bool:
        self.met += 1
        order = self.order
        if self.met <= order.skip or (order.count is not None and self.fired >= order.count):
            return False
        if order.probability < 1 and self.dice.random() >= order.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """The orders that stand, and how often each kind has struck. Not thread-safe."""

    def __init__(self) -> None:
        self._standing: list[_Standing] = []
        self.fired: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._standing)

    def order(self, *orders: FaultOrder) -> None:
        """Add orders; the first that strikes wins."""
        self._standing += [_Standing(order, random.Random(order.seed)) for order in orders]

    def clear(self) -> None:
        """Forget the orders; the counts of what was fired stay."""
        self._standing.clear()

    def draw(self, kinds: tuple[str, ...], request: Request) -> FaultOrder | None:
        """The fault of one of `kinds` that this request meets, if any."""
        for standing in self._standing:
            order = standing.order
            if order.kind in kinds and order.match.covers(request) and standing.strikes():
                self.fired[order.kind] += 1
                return order
        return None

    def copy(self) -> Faults:
        """The same orders, going on by themselves."""
        twin = Faults()
        twin._standing = [replace(standing, dice=_same(standing)) for standing in self._standing]
        twin.fired = self.fired.copy()
        return twin


def _same(standing: _Standing) -> random.Random:
    dice = random.Random(0)
    dice.setstate(standing.dice.getstate())
    return dice


def _order_id(params: Form) -> str:
    metadata = params.get("metadata")
    found = metadata.get("order_id", "") if isinstance(metadata, dict) else ""
    return found if isinstance(found, str) else ""
