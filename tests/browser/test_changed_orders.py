"""The shop changes or cancels an order while its checkout page is open."""

from __future__ import annotations

import re
from typing import Any

import requests
from playwright.sync_api import Page, expect

from tests.support.demo_process import DemoProcess
from tests.support.shopper import (
    PAYS,
    assert_paid_once,
    expect_paid,
    fill,
    open_checkout,
    order_of,
    pay,
    payments,
)


def call(demo: DemoProcess, page: Page, route: str, **fields: Any) -> dict[str, Any]:
    order_id = page.locator("#order-id").text_content()
    answer = requests.post(f"{demo.url}/{route}", json={"order_id": order_id, **fields}, timeout=10)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def amounts_paid(demo: DemoProcess) -> list[tuple[int, str]]:
    paid = [
        event["data"]["object"]
        for event in demo.sandbox.events()
        if event["type"] == "payment_intent.succeeded"
    ]
    return [(intent["amount"], intent["currency"]) for intent in paid]


def test_a_new_amount_is_shown_before_it_is_charged(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    call(demo, page, "update-payment-intent", amount=9999)
    pay(page)
    alert = page.get_by_role("alert").get_by_text("The price of your order has changed")
    expect(alert).to_contain_text("it is now $99.99. This did not charge you.")
    expect(page.locator("#total")).to_have_text("$99.99")
    expect(page.locator("#pay-button")).to_have_text("Pay $99.99")
    assert payments(demo.sandbox) == 0
    pay(page)
    expect_paid(page)
    expect(page.locator("#result-text")).to_contain_text("$99.99")
    assert_paid_once(page, demo.sandbox)
    assert amounts_paid(demo) == [(9999, "usd")]


def test_a_second_change_is_shown_too(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    for amount, shown in ((7000, "$70.00"), (8000, "$80.00")):
        call(demo, page, "update-payment-intent", amount=amount)
        pay(page)
        expect(page.locator("#pay-button")).to_have_text(f"Pay {shown}")
    assert payments(demo.sandbox) == 0
    pay(page)
    expect_paid(page)
    assert amounts_paid(demo) == [(8000, "usd")]


def test_a_new_currency_is_shown_before_it_is_charged(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    call(demo, page, "update-payment-intent", amount=9999, currency="sek")
    pay(page)
    expect(page.locator("#pay-button")).to_have_text(re.compile(r"Pay SEK\s99\.99"))
    assert payments(demo.sandbox) == 0
    page.reload()
    fill(page, PAYS)
    page.get_by_role("button", name="Pay SEK").click()
    expect_paid(page)
    assert amounts_paid(demo) == [(9999, "sek")]


def test_a_reload_after_the_new_amount_still_pays(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    call(demo, page, "update-payment-intent", amount=9999)
    pay(page)
    expect(page.locator("#pay-button")).to_have_text("Pay $99.99")
    page.reload()
    fill(page, PAYS)
    expect(page.locator("#pay-button")).to_have_text("Pay $99.99")
    expect(page.locator("#lines")).to_contain_text("$35.09")
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_canceled_order_is_asked_for_again(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    call(demo, page, "cancel-payment-intent")
    pay(page)
    expect(page.get_by_role("alert").get_by_text("was canceled")).to_be_visible()
    expect(page.locator("#pay-button")).to_have_text("Pay $64.90")
    assert payments(demo.sandbox) == 0
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert order_of(page, demo.sandbox).statuses == ("canceled", "succeeded")
    assert amounts_paid(demo) == [(6490, "usd")]


def test_an_order_paid_elsewhere_shows_its_receipt(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    demo.sandbox.pay(order_of(page, demo.sandbox).ids[0])
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)
