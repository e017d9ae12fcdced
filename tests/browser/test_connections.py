"""The checkout with broken connections and an unavailable service."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.support.demo_process import DemoProcess
from tests.support.shopper import (
    CONFIRM,
    PAYS,
    assert_paid_once,
    expect_paid,
    fill,
    open_checkout,
    order_of,
    pay,
)


def test_offline_during_the_request(page: Page, demo: DemoProcess) -> None:
    def lose_the_connection(route: Route) -> None:
        route.fetch()
        page.context.set_offline(True)
        route.abort("internetdisconnected")

    page.route("**/create-payment-intent", lose_the_connection, times=1)
    page.goto("/")
    expect(page.get_by_text("You are offline.")).to_be_visible()
    assert order_of(page, demo.sandbox).count == 1
    page.context.set_offline(False)
    fill(page, PAYS)
    assert order_of(page, demo.sandbox).count == 1


def test_offline_after_the_request(page: Page, demo: DemoProcess) -> None:
    def go_offline(route: Route) -> None:
        answer = route.fetch()
        page.context.set_offline(True)
        route.fulfill(response=answer)

    page.route("**/create-payment-intent", go_offline, times=1)
    page.goto("/")
    expect(page.get_by_text("You are offline.")).to_be_visible()
    page.context.set_offline(False)
    fill(page, PAYS)


def test_offline_when_paying(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    page.context.set_offline(True)
    pay(page)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("Trying again cannot charge you twice.")).to_be_visible()
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_lost_confirmation_response_pays_once(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    demo.sandbox.faults([{"kind": "lost_after", "match": CONFIRM}])
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_the_page_retries_after_retry_after(page: Page, demo: DemoProcess) -> None:
    requests = []

    def unavailable_once(route: Route) -> None:
        requests.append(route.request.post_data)
        if len(requests) > 1:
            return route.continue_()
        body = {"error": "Failed.", "code": "store_unavailable", "action": "retry_same"}
        return route.fulfill(status=503, headers={"Retry-After": "1"}, json=body)

    page.route("**/create-payment-intent", unavailable_once)
    open_checkout(page, PAYS)
    expect(page.get_by_text("sending the same again in 1.0 s")).to_be_visible()
    assert len(requests) == 2
    assert len(set(requests)) == 1


def test_a_reused_order_is_reported_and_not_retried(page: Page) -> None:
    requests = []

    def refuse(route: Route) -> None:
        requests.append(route.request.url)
        body = {"error": "Reused.", "code": "order_reused", "action": "fix_request"}
        route.fulfill(status=422, json=body)

    page.route("**/create-payment-intent", refuse)
    page.goto("/")
    expect(page.get_by_role("alert").get_by_text("This order has changed")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    assert len(requests) == 1


def test_the_demo_buttons_cannot_pay_twice(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    page.get_by_role("button", name="5 times at once").click()
    expect(page.locator("#sends")).to_have_text("6")
    page.get_by_role("button", name="Lose the answer").click()
    expect(page.locator("#sends")).to_have_text("8")
    expect(page.locator("#intents")).to_have_text("1")
    pay(page)
    expect_paid(page)
    expect(page.locator("#payments")).to_have_text("1")
    assert_paid_once(page, demo.sandbox)
