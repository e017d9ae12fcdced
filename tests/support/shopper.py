"""A shopper's actions on the checkout page, and the checks after them."""

from __future__ import annotations

import json
from collections.abc import Callable

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from tests.support.sandbox_process import OrderState, SandboxProcess

NewContext = Callable[..., BrowserContext]

# Test cards, as the card form calls them.
PAYS, DECLINED, SECOND_STEP = "Pays", "Declined", "Second step"

# Matches confirmations, the only POST requests to an existing PaymentIntent.
CONFIRM = {"method": "POST", "path": "/v1/payment_intents/"}


def card_form(page: Page) -> FrameLocator:
    return page.frame_locator("#payment-element iframe")


def open_checkout(page: Page, card: str | None = None) -> None:
    page.goto("/")
    if card:
        fill(page, card)


def fill(page: Page, card: str) -> None:
    card_form(page).get_by_role("button", name=card).click()


def pay(page: Page) -> None:
    page.get_by_role("button", name="Pay $").click()


def expect_paid(page: Page) -> None:
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def order_of(page: Page, sandbox: SandboxProcess) -> OrderState:
    order_id = page.locator("#order-id").text_content()
    assert order_id
    return sandbox.state().order(order_id)


def payments(sandbox: SandboxProcess) -> int:
    events = sandbox.control("GET", "events")["events"]
    return sum(event["type"] == "payment_intent.succeeded" for event in events)


def assert_paid_once(page: Page, sandbox: SandboxProcess) -> None:
    order = order_of(page, sandbox)
    assert (order.count, order.statuses) == (1, ("succeeded",))
    assert payments(sandbox) == 1


def assert_axe_finds_nothing(page: Page) -> None:
    for frame in page.frames:
        frame.evaluate(AXE_SCRIPT)
        found = frame.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        told = [
            (each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]
        ]
        assert told == [], json.dumps(told, indent=1)
