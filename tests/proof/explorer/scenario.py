"""One scenario: the history of the order before the workers start, and who they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandbox.faults import Match
from tests.proof.explorer.actors import Actor
from tests.proof.explorer.gated_world import TwoGateways
from tests.proof.explorer.world import World

CREATE = Match(method="POST", path="/v1/payment_intents$")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`amounts`: the amount that each worker requests; `last`: amounts of one final request.

    `fresh`: the order has no history, so one creation is enough.
    `within_the_day`: the run lasts less than a day; after it, Stripe too forgets the lost key.
    `beside`: the names of the other actors that run concurrently.
    `crowd`: too many workers for a complete search, so schedules are drawn by seed.
    `two`: the second gateway, where there is one.
    """

    name: str
    before: Callable[[World], object]
    amounts: tuple[int, ...] = (1099, 1099)
    last: tuple[int, ...] = (1099,)
    fresh: bool = False
    within_the_day: bool = False
    beside: Mapping[str, Actor] = field(default_factory=dict)
    crowd: bool = False
    two: TwoGateways | None = None
