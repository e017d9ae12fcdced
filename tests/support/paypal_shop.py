"""A REST app at PayPal's stand-in in this process, with a manual clock.

Every answer is compared with PayPal's OpenAPI description, where that is present.
"""

from __future__ import annotations

import base64
import copy
import json
from typing import Any
from urllib.parse import urlencode

from sandbox.answers import Response
from sandbox.faults import FaultOrder, Match
from sandbox.paypal.acts import approve
from sandbox.paypal.core import ORDERS, TOKEN, Execution, PayPalSandbox
from sandbox.paypal.rules import Rules
from tests.support.paypal_openapi import description

NOW = 1_800_000_000.0
BASE = "http://127.0.0.1:12112"

CREATION: dict[str, Any] = {
    "intent": "CAPTURE",
    "purchase_units": [
        {
            "custom_id": "shop-7:A-1",
            "invoice_id": "A-1-6b1f0c2d9e4a7788",
            "description": "Order A-1",
            "amount": {"currency_code": "USD", "value": "10.99"},
        }
    ],
    "payment_source": {
        "paypal": {
            "experience_context": {
                "return_url": "https://shop.example/paid?order=A-1",
                "cancel_url": "https://shop.example/cart",
                "user_action": "PAY_NOW",
                "shipping_preference": "NO_SHIPPING",
                "landing_page": "NO_PREFERENCE",
                "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
                "brand_name": "Shop Seven",
            }
        }
    },
}


class PayPalShop:
    """Sends requests to the stand-in as one app does."""

    def __init__(self, **rules: Any) -> None:
        self.now = NOW
        self.sandbox = PayPalSandbox(lambda: self.now, seed=1, rules=Rules(**rules))
        self.token = self.new_token()

    def new_token(self, client_id: str = "app-1", secret: str = "secret") -> str:
        answer = self.ask_token(client_id, secret)
        assert answer.status == 200, answer.body
        return str(answer.json()["access_token"])

    def ask_token(self, client_id: str = "app-1", secret: str = "secret") -> Response:
        pair = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        headers = {
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self.sandbox.handle("POST", TOKEN, headers, b"grant_type=client_credentials")

    def headers(self, key: str | None = None, *, minimal: bool = False, **more: str) -> Any:
        named = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        named |= {} if key is None else {"PayPal-Request-Id": key}
        named |= {} if minimal else {"Prefer": "return=representation"}
        return named | more

    def post(self, path: str, body: Any, key: str | None = "key-1", **how: Any) -> Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.sandbox.handle("POST", path, self.headers(key, **how), content)
        return self._checked("POST", path, answer)

    def get(self, path: str) -> Response:
        return self._checked("GET", path, self.sandbox.handle("GET", path, self.headers()))

    def begin(self, path: str, body: Any, key: str = "key-1") -> Response | Execution:
        return self.sandbox.begin("POST", path, self.headers(key), json.dumps(body).encode())

    def create(self, key: str | None = "key-1", **changes: Any) -> Response:
        """Create an order; `changes` replace fields of the purchase unit."""
        body = copy.deepcopy(CREATION)
        body["purchase_units"][0] |= changes
        return self.post(ORDERS, body, key)

    def created(self, key: str = "key-1", **changes: Any) -> str:
        answer = self.create(key, **changes)
        assert answer.status == 201, answer.body
        return str(answer.json()["id"])

    def approved(self, plan: str = "COMPLETED", key: str = "key-1", **changes: Any) -> str:
        order_id = self.created(key, **changes)
        self.approve(order_id, plan)
        return order_id

    def approve(self, order_id: str, plan: str = "COMPLETED") -> None:
        approve(self.sandbox, order_id, plan)

    def capture(self, order_id: str, key: str = "capture-1", **how: Any) -> Response:
        return self.post(f"{ORDERS}/{order_id}/capture", {}, key, **how)

    def read(self, order_id: str) -> Response:
        return self.get(f"{ORDERS}/{order_id}")

    def status(self, order_id: str) -> str:
        return str(self.read(order_id).json()["status"])

    def choose(self, order_id: str, choice: str) -> Response:
        """Press a button of the approval page."""
        form = urlencode({"token": order_id, "choice": choice}).encode()
        return self.sandbox.handle("POST", "/checkoutnow", {}, form)

    def fault(self, kind: str, path: str = "", **more: Any) -> None:
        match = Match(path=path) if path else Match()
        self.sandbox.faults.order(FaultOrder(kind, match, **more))

    def events(self) -> list[str]:
        return [str(event["event_type"]) for event in self.sandbox.events]

    def _checked(self, method: str, path: str, answer: Response) -> Response:
        found = description()
        if found and answer.headers.get("Content-Type") == "application/json":
            body = answer.json()
            if body != {}:
                found.check_answer(method, path, answer.status, body)
        return answer


def issue(answer: Response) -> str:
    """Return the first issue of a rejection."""
    return str(answer.json()["details"][0]["issue"])
