"""The sandbox's core in this process, with a manual clock and short methods for requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sandbox.answers import Response
from sandbox.core import Sandbox
from sandbox.execution import Execution
from sandbox.moment import Rules

INTENTS = "/v1/payment_intents"
NOW = 1_800_000_000.0
CARD_ONLY = {
    "automatic_payment_methods[enabled]": "true",
    "automatic_payment_methods[allow_redirects]": "never",
}


class Shop:
    """A shop with a secret key, its sandbox, and a manual clock."""

    def __init__(self, **rules: Any) -> None:
        self.now = NOW
        self.sandbox = Sandbox(lambda: self.now, seed=1, rules=Rules(**rules))

    def headers(self, api_key: str = "sk_test_shop", **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {api_key}", **named}

    def post(self, path: str, params: dict[str, Any] | None = None, **headers: str) -> Response:
        body = urlencode(params or {}).encode()
        return self.sandbox.handle("POST", path, self.headers(**headers), body)

    def begin(self, params: dict[str, Any], **headers: str) -> Response | Execution:
        body = urlencode(params).encode()
        return self.sandbox.begin("POST", INTENTS, self.headers(**headers), body)

    def get(self, path: str, params: dict[str, Any] | None = None, **headers: str) -> Response:
        target = f"{path}?{urlencode(params)}" if params else path
        return self.sandbox.handle("GET", target, self.headers(**headers))

    def create(self, **params: Any) -> dict[str, Any]:
        """Create a card-only PaymentIntent for 10.99 usd; a rejection fails the test."""
        made = self.post(INTENTS, {"amount": 1099, "currency": "usd", **CARD_ONLY, **params})
        assert made.status == 200, made.body
        found: dict[str, Any] = made.json()
        return found

    def act(self, intent_id: str, verb: str, **params: Any) -> Response:
        return self.post(f"{INTENTS}/{intent_id}/{verb}", params)

    def status(self, intent_id: str) -> str:
        return str(self.get(f"{INTENTS}/{intent_id}").json()["status"])

    def events(self) -> list[str]:
        """Return the event types without their prefix, oldest first."""
        data = self.get("/v1/events", {"limit": 100}).json()["data"]
        return [event["type"].removeprefix("payment_intent.") for event in reversed(data)]


def error(answer: Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found
