"""What a call to Stripe came to, after every send that the retry loop allowed.

Outcome
├── Made        a PaymentIntent
├── Declined    a definitive no
├── KeyMisused  the key is known with other parameters
└── Unclear     nothing definitive: a PaymentIntent may exist or not (rule 8)
"""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.errors import PaymentError, Refused
from payment_service.gateways.intent import Intent


@dataclass(frozen=True, slots=True)
class Made:
    """`replayed`: Stripe gave a saved answer, which shows the PaymentIntent as it was then."""

    intent: Intent
    replayed: bool


@dataclass(frozen=True, slots=True)
class Declined:
    """`replayed`: it is the saved answer to an earlier send of the key.

    `after_unresolved`: an earlier send of this very call may have been acted upon.
    """

    error: Refused
    replayed: bool
    after_unresolved: bool = False


@dataclass(frozen=True, slots=True)
class KeyMisused:
    """400 idempotency_error; says nothing of what the key's own request came to."""

    error: PaymentError


@dataclass(frozen=True, slots=True)
class Unclear:
    """`saved_5xx`: the key answers with a 5xx for ever, so sending it again is no use.

    `of_this_call`: Stripe names a send of this very call as the one whose answer it saved, so
    that nothing used the key before.
    `from_before`: that 5xx was saved before the first send of this call.
    `answered_500`: the last answer was a 500, which may be a saved one that does not say so.
    """

    error: PaymentError
    saved_5xx: bool
    of_this_call: bool = False
    answered_500: bool = False
    from_before: bool = False


Outcome = Made | Declined | KeyMisused | Unclear
