"""A shopper pays, with success, declines and authentication."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.demo_process import DemoProcess
from tests.support.shopper import (
    DECLINED,
    PAYS,
    SECOND_STEP,
    assert_paid_once,
    card_form,
    expect_paid,
    fill,
    open_checkout,
    pay,
    payments,
)


def test_a_typed_card_pays(page: Page, demo: DemoProcess) -> None:
    open_checkout(page)
    form = card_form(page)
    form.get_by_label("Card number").press_sequentially("4242424242424242")
    expect(form.get_by_label("Card number")).to_have_value("4242 4242 4242 4242")
    page.keyboard.press("Tab")
    page.keyboard.type("1234")
    page.keyboard.press("Tab")
    page.keyboard.type("123")
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_the_parcel_is_promised_only_after_the_webhook(page: Page, demo: DemoProcess) -> None:
    demo.sandbox.webhooks(detours=[{"kind": "drop", "count": 50}])
    open_checkout(page, PAYS)
    pay(page)
    expect_paid(page)
    expect(page.locator("#result-text")).to_contain_text("as soon as our shop has the payment")
    demo.sandbox.webhooks(detours=[])
    [paid] = [each for each in demo.sandbox.events() if each["type"] == "payment_intent.succeeded"]
    demo.sandbox.control("POST", f"events/{paid['id']}/resend", {})
    expect(page.locator("#result-text")).to_contain_text("Your parcel leaves tomorrow")
    expect(page.get_by_role("heading", name="Thank you")).to_be_focused()


def test_the_page_speaks_of_pay_only_while_it_shows_the_button(page: Page) -> None:
    open_checkout(page, PAYS)
    invitation = page.get_by_text("Press Pay as often as you like")
    expect(invitation).to_be_visible()
    pay(page)
    expect_paid(page)
    expect(invitation).to_be_hidden()


def test_the_client_secret_leaves_the_address_bar(page: Page) -> None:
    open_checkout(page, PAYS)
    pay(page)
    expect_paid(page)
    assert "secret" not in page.url


def test_an_incomplete_card_shows_an_error_at_its_field(page: Page, demo: DemoProcess) -> None:
    open_checkout(page)
    card_form(page).get_by_label("Card number").fill("4242 4242")
    pay(page)
    number = card_form(page).get_by_label("Card number")
    expect(number).to_have_attribute("aria-invalid", "true")
    expect(number).to_be_focused()
    expect(card_form(page).get_by_text("Your card number is incomplete.")).to_be_visible()
    assert payments(demo.sandbox) == 0


def test_another_card_pays_after_a_decline(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, DECLINED)
    pay(page)
    expect(page.get_by_role("alert").get_by_text("Your bank declined this card")).to_be_visible()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_completed_authentication_pays(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, SECOND_STEP)
    pay(page)
    page.get_by_role("button", name="Complete").click()
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_another_card_pays_after_a_failed_authentication(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, SECOND_STEP)
    pay(page)
    page.get_by_role("button", name="Fail").click()
    expect(page.get_by_text("Your bank did not confirm the payment")).to_be_visible()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


@pytest.mark.parametrize(
    ("currency", "total"), [("JPY", "¥9,400"), ("KWD", "KWD 19.850"), ("EUR", "€59.50")]
)
def test_an_amount_has_the_format_of_its_currency(page: Page, currency: str, total: str) -> None:
    open_checkout(page, PAYS)
    page.get_by_label("Start another order in").select_option(currency.lower())
    page.get_by_role("button", name="Start").click()
    # Intl.NumberFormat puts U+00A0 after a currency code.
    expect(page.locator("#total")).to_have_text(re.compile(total.replace(" ", r"\s")))
    expect(page.get_by_role("button", name="Pay")).to_contain_text(total.split()[-1])
