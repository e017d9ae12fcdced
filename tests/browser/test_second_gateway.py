"""Stripe is down: the checkout sends the shopper to PayPal, then completes the payment."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.support.demo_process import DemoProcess
from tests.support.shopper import NewContext, assert_axe_finds_nothing, expect_paid
from tests.support.two_gateways import silence

PHONE = {"width": 360, "height": 740}


def open_wallet(page: Page, demo: DemoProcess) -> None:
    """Open the checkout while Stripe is silent, and wait for the way to PayPal."""
    silence(demo.sandbox, "lost_before")
    page.goto("/")
    expect(page.get_by_text("You can pay with PayPal instead.")).to_be_visible()


def go_to_paypal(page: Page, choice: str) -> None:
    page.get_by_role("button", name="Continue to PayPal").click()
    expect(page.get_by_role("heading", name="Kestrel Paper")).to_be_visible()
    expect(page.get_by_text("64.90 USD")).to_be_visible()
    page.get_by_role("button", name=choice, exact=True).click()


def captures(demo: DemoProcess) -> list[str]:
    orders = demo.paypal.control("GET", "state")["orders"]
    return [each for found in orders.values() for order in found for each in order["captures"]]


def test_shopper_pays_at_paypal_and_comes_back(page: Page, demo: DemoProcess) -> None:
    open_wallet(page, demo)
    go_to_paypal(page, "Approve")
    expect_paid(page)
    assert "paypal" not in page.url
    assert "token" not in page.url
    assert captures(demo) == ["COMPLETED"]
    expect(page.locator("#payments")).to_have_text("1")
    page.reload()
    expect_paid(page)
    assert captures(demo) == ["COMPLETED"]


def test_shopper_who_goes_back_can_try_again(page: Page, demo: DemoProcess) -> None:
    open_wallet(page, demo)
    go_to_paypal(page, "Go back to the shop")
    expect(page.get_by_text("You came back without approving the payment.")).to_be_visible()
    assert captures(demo) == []
    go_to_paypal(page, "Approve")
    expect_paid(page)
    assert captures(demo) == ["COMPLETED"]


def test_declined_shopper_is_sent_there_again(page: Page, demo: DemoProcess) -> None:
    open_wallet(page, demo)
    go_to_paypal(page, "Approve with a card that is declined")
    expect(page.get_by_role("button", name="Continue to PayPal")).to_be_visible()
    go_to_paypal(page, "Approve")
    expect_paid(page)
    assert captures(demo) == ["COMPLETED"]


def test_axe_finds_no_violation_on_the_way_to_paypal(
    new_context: NewContext, demo: DemoProcess
) -> None:
    page = new_context(viewport=PHONE).new_page()
    open_wallet(page, demo)
    assert_axe_finds_nothing(page)
