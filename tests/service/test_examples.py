"""The shops of examples/: their tokens, and the order events that they accept."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import stripe

from tests.support.example_shops import EVENTS_SECRET, SHOPS, ExampleShop, running
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.shop_listener import until


@pytest.fixture(params=SHOPS)
def shop(
    request: pytest.FixtureRequest, sandbox: SandboxProcess, tmp_path: Path
) -> Iterator[ExampleShop]:
    with running(request.param, sandbox, tmp_path) as started:
        yield started


def token_of(page: str) -> str:
    found = re.search(r'Authorization: "Bearer ([\w.-]+)"', page)
    assert found
    return found[1]


def is_paid(shop: ExampleShop) -> bool:
    paid: bool = requests.get(f"{shop.url}/orders/A-1", timeout=10).json()["paid"]
    return paid


def test_token_of_the_page_creates_the_order_and_the_shop_hears_of_its_payment(
    shop: ExampleShop, sandbox: SandboxProcess
) -> None:
    page = requests.get(f"{shop.url}/checkout/A-1", timeout=10).text
    assert "{{" not in page
    authorization = f"Bearer {token_of(page)}"
    made = shop.service.post(
        "/create-payment-intent", {}, Authorization=authorization, Origin=shop.url
    )
    assert made.status_code == 200, made.text
    assert made.headers["Access-Control-Allow-Origin"] == shop.url
    found = sandbox.state().order("A-1", "shop-a")
    assert found.ids == (made.json()["payment_intent_id"],)
    assert not is_paid(shop)
    sandbox.pay(found.ids[0])
    until(lambda: is_paid(shop))


def test_shop_serves_pay_js_unchanged_and_knows_no_other_order(shop: ExampleShop) -> None:
    served = requests.get(f"{shop.url}/pay.js", timeout=10)
    assert served.headers["Content-Type"].startswith("text/javascript")
    assert served.content == (ROOT / "payment_service/checkout/pay.js").read_bytes()
    for path in ("/checkout/A-2", "/orders/A-2", "/checkout/constructor", "/nothing"):
        assert requests.get(f"{shop.url}{path}", timeout=10).status_code == 404


def test_shop_believes_only_a_fresh_event_with_its_own_signature(shop: ExampleShop) -> None:
    event = {"id": "evt_1", "type": "order.paid", "data": {"object": {"order_id": "A-1"}}}
    # Bytes that are not a text of any encoding's normal form must be verified as they are.
    body = json.dumps(event, indent=1).encode() + b"\n"

    def post(header: str | None, sent: bytes = body) -> int:
        headers = {} if header is None else {"Order-Signature": header}
        headers["Content-Type"] = "application/json"
        url = f"{shop.url}/order-events"
        return requests.post(url, data=sent, headers=headers, timeout=10).status_code

    def signed(secret: str, age: float = 0) -> str:
        at = int(time.time() - age)
        text = body.decode()
        return str(stripe.WebhookSignature.generate_signature_header(text, secret, at))

    good = signed(EVENTS_SECRET)
    wrong = ["", "t=,v1=", "nonsense", "t=1,v1=\xe9", "v1=0", f"t={int(time.time())}", None]
    wrong += [signed("whsec_other"), signed(EVENTS_SECRET, age=301), signed(EVENTS_SECRET, -400)]
    wrong += [good.replace("v1=", "v0="), good[:-1], good + "0"]
    assert [post(each) for each in wrong] == [400] * len(wrong)
    assert post(good, body.replace(b"A-1", b"A-2")) == 400
    assert not is_paid(shop)
    during_a_rotation = good.replace("v1=", f"v1={'0' * 64},v1=")
    assert post(during_a_rotation) == 204
    assert post(good) == 204
    assert is_paid(shop)
