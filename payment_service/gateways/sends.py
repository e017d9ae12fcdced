"""A request to a gateway, as it is reported to logs and metrics: the send, and how it failed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """One failed send, understood. `status` is None where no answer came.

    `original_request`: the id of the request whose answer Stripe saved under the key, which is
    `request_id` itself where this send was the first (docs.stripe.com/api/request_ids).
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
        """Whether the key will answer with this 5xx for ever.

        A 503 that is not to be sent again is not saved: a key that was passed over for it would
        be unused, and were the record lost, it would make a second PaymentIntent.
        """
        saved = self.replayed or self.status == 500
        return self.meaning is Meaning.FAILED and not self.again and saved


@dataclass(frozen=True, slots=True)
class RetryDetails:
    """One send that is followed by another, as it is reported."""

    send: int
    wait_seconds: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Send:
    """One request to a gateway and its result. `verdict` is None where it succeeded."""

    method: str
    path: str
    number: int
    seconds: float
    request_id: str | None
    key: str | None
    verdict: Verdict | None
