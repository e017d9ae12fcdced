"""Stripe's answers as gateways.send needs them: parsed, judged, and explained to an operator."""

from __future__ import annotations

from msgspec import Struct

from payment_service.gateways.calls import Answer, Call, plain_id
from payment_service.gateways.send_report import Verdict
from payment_service.gateways.stripe.api_calls import ErrorAnswer, StripeApi, read_answer
from payment_service.gateways.stripe.errors import without_secrets
from payment_service.gateways.stripe.verdicts import judge
from payment_service.http_client.connection import Response


class StripeSends(Struct, frozen=True):
    """The sends of one account; implements gateways.send.Api."""

    api: StripeApi

    def send(self, call: Call, ends_at: float) -> Response:
        """Send a call once. Raises HttpFailure."""
        return self.api.send(call, ends_at)

    def read(self, response: Response, call: Call) -> Answer:
        """Parse an answer. Raises ErrorAnswer or ValueError."""
        return read_answer(response, call.key)

    def judge(self, response: Response | None, failure: Exception | None) -> Verdict:
        """Classify a failed send."""
        if response is None:
            return judge(None, {}, None)
        error = failure.error if isinstance(failure, ErrorAnswer) else None
        kind = None if error is None else str(error.get("type") or "unknown")
        return judge(response.status, response.headers, kind)

    def request_id(self, response: Response) -> str | None:
        """Return Stripe's id of the request."""
        return plain_id(response.headers.get("request-id"))

    def sentence(self, failure: Exception) -> str | None:
        """Return Stripe's or libcurl's sentence, without secrets."""
        if isinstance(failure, ErrorAnswer):
            sentence = failure.error and failure.error.get("message")
            return without_secrets(sentence) if isinstance(sentence, str) else None
        return without_secrets(str(failure))

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.api.http.close()
