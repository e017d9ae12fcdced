"""PayPal's OpenAPI description of Orders v2 (github.com/paypal/paypal-rest-api-specifications).

It is not part of this repository. Without the file, nothing is compared with it, and the tests that
are about it are skipped.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.json_schema import Schemas

VARIABLE = "TEST_PAYPAL_OPENAPI"

# PayPal's answers that the description leaves out.
UNDESCRIBED = frozenset({429})


class PayPalDescription:
    """Compares requests and answers with the description."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document, self._schemas = document, Schemas(document)
        self.checked: set[tuple[str, str, int]] = set()
        """The method, route and status of each answer that was compared."""

    def check_answer(self, method: str, path: str, status: int, body: Any) -> None:
        """Compare an answer of Orders v2 with its schema; other paths are not described."""
        route = self._route(path)
        if route is None or status in UNDESCRIBED:
            return
        responses = self._document["paths"][route][method.lower()]["responses"]
        found = responses.get(str(status)) or self._document["components"]["responses"]["default"]
        schema = found["content"]["application/json"]["schema"]
        assert self._schemas.fits(body, schema), (method, path, status, body)
        self.checked.add((method, route, status))

    def check_creation(self, body: Any) -> None:
        """Compare the body of a creation with its schema."""
        schema = {"$ref": "#/components/schemas/order_request"}
        assert self._schemas.fits(body, schema), body

    def _route(self, path: str) -> str | None:
        for route in self._document["paths"]:
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path):
                return str(route)
        return None


@cache
def description() -> PayPalDescription | None:
    """Return the description, if TEST_PAYPAL_OPENAPI names its file."""
    path = os.environ.get(VARIABLE)
    return PayPalDescription(json.loads(Path(path).read_text())) if path else None


def required_description() -> PayPalDescription:
    """Return the description; skip the test if TEST_PAYPAL_OPENAPI names no file."""
    found = description()
    if found is None:
        pytest.skip(f"{VARIABLE} does not name PayPal's checkout_orders_v2.json")
    return found
