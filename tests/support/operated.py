"""The service with operators, in this process: its payments are those of a bench."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from payment_service.payments.payments import Payments
from payment_service.schema.secret import Secret
from payment_service.settings import Settings
from stripe_back_end_api import create_app
from tests.support.after_bench import AfterBench
from tests.support.shop import OPERATOR_KEYS, bearer, clients_file, entry, operator

API = "/operator/api"
ENTRIES = (entry("shop-a"), entry("shop-b"), operator("anna", "act"))
READER = operator("ben", "read", 'clients = ["shop-b"]')


class Operated:
    """A service with the clients shop-a and shop-b, and the operators anna and ben.

    anna may act on all orders; ben may read those of shop-b.
    """

    def __init__(self, directory: Path, bench: AfterBench, *entries: str, **settings: Any) -> None:
        path = clients_file(directory, *(entries or (*ENTRIES, READER)))
        found = Settings(stripe_secret_key=Secret("sk_test_fake"), clients_file=path, **settings)
        payments = Payments(bench.context, found)
        self.client: FlaskClient = create_app(found, payments).test_client()

    def get(self, path: str, key: str = OPERATOR_KEYS["anna"], **query: str) -> Any:
        return self.client.get(f"{API}/{path}", query_string=query, headers=bearer(key))

    def post(
        self, path: str, body: Mapping[str, Any], key: str = OPERATOR_KEYS["anna"], **headers: str
    ) -> Any:
        return self.client.post(f"{API}/{path}", json=body, headers={**bearer(key), **headers})
