"""The figures of a chaos run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """The figures of a run; the lists of orders at the end decide.

    `strays`: orders with a second payable PaymentIntent, never returned, that a look-up canceled.
    Of two gateways only: `two_payments`, orders that could be paid at both, or were; `uncaptured`,
    orders whose approved payment was not captured; `leftovers`, orders with something payable at
    Stripe, or a leftover in the record, an hour later.
    `keeps`: the store lost no acknowledged write; only then must no order have two payable ones.
    """

    keeps: bool
    counts: Counter[str] = field(default_factory=Counter)
    longest_seconds: float = 0.0
    orders: int = 0
    strays: list[str] = field(default_factory=list)
    two_payable: list[str] = field(default_factory=list)
    two_given: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    refunded_twice: list[str] = field(default_factory=list)
    refunds_left: list[str] = field(default_factory=list)
    two_payments: list[str] = field(default_factory=list)
    uncaptured: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def failed(self) -> bool:
        """Whether the run broke a promise."""
        broken = (
            *(self.two_given, self.unanswered, self.refunded_twice, self.refunds_left),
            *(self.two_payments, self.uncaptured, self.leftovers),
        )
        return any(broken) or (bool(self.two_payable) and self.keeps)

    def suspects(self) -> list[str]:
        """Return the orders whose story is worth reading."""
        strays = self.strays if self.keeps else self.two_given
        return [*strays, *self.two_payments, *self.uncaptured, *self.leftovers]

    def table(self) -> str:
        """Return the run as a table in Markdown."""
        rows = [
            ("orders", self.orders),
            *sorted(self.counts.items()),
            ("strays that waited for a look", len(self.strays)),
            ("longest request, seconds", round(self.longest_seconds, 1)),
            ("**orders with two payable PaymentIntents**", len(self.two_payable)),
            ("**orders whose clients were given two payable ones**", len(self.two_given)),
            ("**orders never answered**", len(self.unanswered)),
            ("**refunds made twice**", len(self.refunded_twice)),
            ("**refunds never answered**", len(self.refunds_left)),
            ("**orders with a payment at each gateway**", len(self.two_payments)),
            ("**approved payments that were not captured**", len(self.uncaptured)),
            ("**orders with a leftover an hour later**", len(self.leftovers)),
        ]
        return "\n".join(
            ("| what | how many |", "|---|---:|", *(f"| {a} | {b} |" for a, b in rows))
        )
