"""PayPal's HTTP API: requests and answers, as gateways.send needs them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct

from payment_service.gateways.calls import Answer, Call, ErrorStatus, Http, plain_id
from payment_service.gateways.paypal.params import encoded
from payment_service.gateways.paypal.paths import TOKEN
from payment_service.gateways.paypal.verdicts import Problem, judge
from payment_service.gateways.send_report import Meaning, Verdict
from payment_service.http_client.connection import Response
from payment_service.schema.secret import Secret, redacted, shortened

LIVE_BASE = "https://api-m.paypal.com"
SANDBOX_BASE = "https://api-m.sandbox.paypal.com"

# The relations of an error's link to PayPal's page for the shopper.
_PAGE_RELATIONS = ("payer-action", "redirect", "approve")

# PayPal's sentences are one or two lines long.
MAX_MESSAGE_CHARACTERS = 1_000


class PayPalCall(Call):
    """A call with its access token."""

    token: str = ""

    def __repr__(self) -> str:
        """Do not show the token."""
        return f"PayPalCall({self.method!r}, {self.path!r})"

    def note(self, verdict: Verdict) -> None:
        """Count a failed send. PayPal executes nothing without a valid token."""
        self.unresolved += verdict.status != 401
        if verdict.request_id:
            self.request_ids.add(verdict.request_id)


class ErrorAnswer(ErrorStatus):
    """An answer that reports an error. `problem` is None unless PayPal itself wrote it."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.problem = _problem(response.body)


class PayPalApi(Struct, frozen=True):
    """The requests of one REST app; shared by all threads. Implements gateways.send.Api."""

    http: Http
    client_id: str
    client_secret: Secret
    api_base: str

    def send(self, call: Call, ends_at: float) -> Response:
        """Send a call once, and return the answer whatever its status. Raises HttpFailure."""
        url = self.api_base + call.path
        if call.method == "get":
            return self.http.send("GET", url, self._headers(call), None, ends_at)
        is_token = call.path == TOKEN
        payload = urlencode(call.params).encode() if is_token else encoded(call.params)
        return self.http.send("POST", url, self._headers(call), payload, ends_at)

    def read(self, response: Response, _: Call) -> Answer:
        """Parse an answer. Raises ErrorAnswer for an error status, ValueError without JSON."""
        if not 200 <= response.status < 300:
            raise ErrorAnswer(response)
        return Answer(json.loads(response.body), response.headers, response.status)

    def judge(self, response: Response | None, failure: Exception | None) -> Verdict:
        """Classify a failed send."""
        if response is None:
            return Verdict(Meaning.NO_ANSWER, again=True)
        problem = failure.problem if isinstance(failure, ErrorAnswer) else None
        return judge(response.status, response.headers, problem)

    def request_id(self, response: Response) -> str | None:
        """Return PayPal's debug id."""
        return plain_id(response.headers.get("paypal-debug-id"))

    def sentence(self, failure: Exception) -> str | None:
        """Return PayPal's name of the problem and its sentence, or libcurl's."""
        if not isinstance(failure, ErrorAnswer):
            return _without_secrets(str(failure))
        problem = failure.problem
        if problem is None:
            return None
        return _without_secrets(f"{problem.word}: {problem.message}")

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.http.close()

    def _headers(self, call: Call) -> dict[str, str]:
        if call.path == TOKEN:
            return {
                "Authorization": f"Basic {self._credentials()}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
        assert isinstance(call, PayPalCall), "PayPal would answer 401"
        headers = {"Authorization": f"Bearer {call.token}", "Prefer": "return=representation"}
        if call.method == "post":
            assert call.key, "PayPal would execute each send"
            headers |= {"Content-Type": "application/json", "PayPal-Request-Id": call.key}
        return headers

    def _credentials(self) -> str:
        """Return the Basic credentials; RFC 6749, 2.3.1 encodes both parts first."""
        parts = (self.client_id, self.client_secret.get_secret_value())
        return base64.b64encode(":".join(quote(each, safe="") for each in parts).encode()).decode()


def _problem(content: bytes) -> Problem | None:
    """Read PayPal's error object, or that of its token endpoint."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("error"), str):
        return Problem(found["error"], "", _text(found, "error_description"))
    if not isinstance(found.get("name"), str):
        return None
    details = found.get("details")
    first = details[0] if isinstance(details, list) and details else None
    first = first if isinstance(first, dict) else {}
    message = _text(first, "description") or _text(found, "message")
    debug_id, page = plain_id(found.get("debug_id")), _page(found.get("links"))
    return Problem(found["name"], _text(first, "issue"), message, debug_id, page)


def _page(links: object) -> str | None:
    """Return the link to the page on which the shopper must act."""
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") in _PAGE_RELATIONS:
            return _text(link, "href") or None
    return None


def _text(within: Mapping[str, Any], name: str) -> str:
    found = within.get(name)
    return found if isinstance(found, str) else ""


def _without_secrets(text: str) -> str:
    return redacted(shortened(text, MAX_MESSAGE_CHARACTERS))
