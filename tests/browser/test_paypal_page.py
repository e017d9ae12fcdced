"""The approval page of PayPal's stand-in, in a browser: accessible, and usable by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Made
from payment_service.gateways.paypal.gateway import PayPalGateway
from payment_service.gateways.paypal.params import Pages
from payment_service.http_client.client import HttpClient
from payment_service.key_store.contract import Order
from payment_service.schema.secret import Secret
from tests.support.paypal_params import order_params
from tests.support.paypal_process import PayPalProcess
from tests.support.shopper import assert_axe_finds_nothing

REQUEST = {"amount": 1099, "currency": "usd", "description": "Order A-1"}


@pytest.fixture(scope="module")
def paypal(browser: Browser) -> Iterator[PayPalProcess]:
    with PayPalProcess() as started:
        yield started


def new_order(paypal: PayPalProcess) -> tuple[str, str]:
    """Return an order's id, and the address of the approval page. The shop is the stand-in."""
    paypal.reset()
    http = HttpClient(connect_seconds=3, read_seconds=10, keep=1)
    shop = Pages(f"{paypal.url}/_sandbox/state?paid", f"{paypal.url}/_sandbox/state?cart")
    gateway = PayPalGateway(
        "app", Secret("secret"), http, shop, livemode=False, api_base=paypal.url
    )
    sent = order_params(Order(livemode=False, client_id=None, order_id="A-1"), REQUEST, shop)
    outcome = gateway.create(sent, "key-1", Deadline.after(20))
    http.close()
    assert isinstance(outcome, Made)
    return outcome.intent.id, str(outcome.intent.redirect_url)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 320, "height": 640})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_approval_page(
    paypal: PayPalProcess, page: Page, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(new_order(paypal)[1])
    assert_axe_finds_nothing(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(
    ("button", "address", "status"),
    [
        ("Approve", "?paid&token=", "APPROVED"),
        ("Approve with a card that is declined", "?paid&token=", "APPROVED"),
        ("Go back to the shop", "?cart&token=", "PAYER_ACTION_REQUIRED"),
    ],
)
def test_a_button_leads_back_to_the_shop(
    paypal: PayPalProcess, page: Page, button: str, address: str, status: str
) -> None:
    order_id, url = new_order(paypal)
    page.goto(url)
    page.get_by_role("button", name=button, exact=True).press("Enter")
    page.wait_for_url(f"**{address}{order_id}*")
    assert [order["status"] for order in paypal.orders()] == [status]


def test_a_paid_order_shows_no_button(paypal: PayPalProcess, page: Page) -> None:
    order_id, url = new_order(paypal)
    paypal.act(order_id, "void")
    page.goto(url)
    assert page.get_by_role("button").count() == 0
    assert_axe_finds_nothing(page)
