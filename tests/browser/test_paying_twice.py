"""Actions that could pay an order twice do not."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.support.demo_process import DemoProcess
from tests.support.shopper import (
    CONFIRM,
    PAYS,
    SECOND_STEP,
    NewContext,
    assert_paid_once,
    expect_paid,
    fill,
    open_checkout,
    pay,
)


def test_a_double_submit_confirms_once(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    demo.sandbox.faults([{"kind": "slow", "seconds": 0.5, "match": CONFIRM}])
    button = page.get_by_role("button", name="Pay")
    button.dblclick()
    button.press("Enter")
    expect(page.get_by_text("Pay pressed again: nothing to do").first).to_be_visible()
    expect_paid(page)
    assert demo.sandbox.state().sends("POST /v1/payment_intents/:id/confirm") == 1
    assert_paid_once(page, demo.sandbox)


def test_a_reload_during_the_payment_pays_once(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    demo.sandbox.faults([{"kind": "slow", "seconds": 1, "match": CONFIRM}])
    with page.expect_request("**/confirm"):
        pay(page)
    page.reload()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_reload_after_the_payment_shows_the_receipt(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    pay(page)
    expect_paid(page)
    page.reload()
    expect_paid(page)
    expect(page.get_by_role("button", name="Pay")).to_be_hidden()
    assert_paid_once(page, demo.sandbox)


def test_back_after_the_payment_shows_the_receipt(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    pay(page)
    expect_paid(page)
    page.go_back()
    expect_paid(page)
    expect(page.get_by_role("button", name="Pay")).to_be_hidden()
    assert_paid_once(page, demo.sandbox)


def test_back_from_the_bank_page_pays_once(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, SECOND_STEP)
    pay(page)
    page.get_by_role("button", name="Complete").wait_for()
    page.go_back()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_two_tabs_pay_one_order_once(new_context: NewContext, demo: DemoProcess) -> None:
    context = new_context()
    first = context.new_page()
    open_checkout(first, PAYS)
    second = context.new_page()
    open_checkout(second, PAYS)
    first.bring_to_front()
    pay(first)
    expect_paid(first)
    second.bring_to_front()
    pay(second)
    expect_paid(second)
    assert_paid_once(second, demo.sandbox)
