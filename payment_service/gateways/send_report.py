"""A request to a gateway as logs, metrics and traces show it: the send, and its failure if any."""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct


class Meaning(Enum):
    """The meaning of a failed answer."""

    NO = auto()
    MISUSED = auto()
    CONFIG = auto()
    BUSY = auto()
    LIMITED = auto()
    FAILED = auto()
    UNREADABLE = auto()
    NO_ANSWER = auto()


class Verdict(Struct, frozen=True):
    """The classification of one failed send. `status` is None if no answer arrived.

    `original_request`: the id of the request whose answer Stripe saved under the key. It equals
    `request_id` if this send was the first (docs.stripe.com/api/request_ids).
    """

    meaning: Meaning
    again: bool
    status: int | None = None
    replayed: bool = False
    retry_after_seconds: float | None = None
    request_id: str | None = None
    original_request: str | None = None

    @property
    def saved_5xx(self) -> bool:
        """Whether Stripe will return this 5xx for the key forever.

        Stripe does not save a 503, even one that we must not resend. If we skipped the key for
        it, the key would be unused: after a loss of the record it would create a second
        PaymentIntent.
        """
        saved = self.replayed or self.status == 500
        return self.meaning is Meaning.FAILED and not self.again and saved


class RetryDetails(Struct, frozen=True):
    """Report of one failed send that a retry follows."""

    send: int
    wait_seconds: float
    verdict: Verdict


class Send(Struct, frozen=True):
    """One request to a gateway and its result. `verdict` is None if it succeeded.

    `phase`: the step that failed, if no answer arrived. `cause`: the reason, without secrets.
    `status`: the answer's, None if none arrived.
    """

    method: str
    path: str
    number: int
    seconds: float
    request_id: str | None
    key: str | None
    verdict: Verdict | None
    phase: str | None = None
    cause: str | None = None
    status: int | None = None
