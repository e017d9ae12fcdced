"""What PayPal leaves open, and the times that tests shorten."""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Rules:
    """Switchable behaviour; times are in seconds on the sandbox's clock.

    `refund_key_seconds`: the life of the request ids of Payments v2. `minimal_refunds`: whether a
    refund ignores `Prefer: return=representation`. `simultaneous`: the answer to a request whose id
    is in use, `409` or `500`.
    `unique_invoices`: where a second use of the invoice id of a captured payment is rejected:
    `capture`, `create` (and at the capture) or `never`. `declined_goes_back`: whether an order
    needs the shopper's approval again after INSTRUMENT_DECLINED. `declined_uses_invoice`: whether
    a declined capture uses up its invoice id. `links_on_read`: whether a GET shows the link to the
    approval page. `minimal_always`: whether a creation ignores `Prefer: return=representation`.
    """

    token_seconds: float = 9 * HOUR
    key_seconds: float = 6 * HOUR
    refund_key_seconds: float = 45 * 24 * HOUR
    unapproved_seconds: float = 6 * HOUR
    approved_seconds: float = 6 * HOUR
    simultaneous: str = "409"
    unique_invoices: str = "capture"
    declined_goes_back: bool = True
    declined_uses_invoice: bool = False
    links_on_read: bool = True
    minimal_always: bool = False
    minimal_refunds: bool = False
    base_url: str = "http://127.0.0.1:12112"
