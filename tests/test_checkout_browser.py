"""The demo's pages in a real browser: how a shopper pays, and how nearly twice by mistake."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, Route, expect

from tests.browser import MISSING, find_chromium, open_browser
from tests.demo_process import DemoProcess
from tests.sandbox_process import ROOT, OrderState, SandboxProcess

SCREENSHOTS = ROOT / "build" / "screenshots"

CONFIRM = {"method": "POST", "path": "/v1/payment_intents/"}

PAYS, DECLINED, SECOND_STEP = "Pays", "Declined", "Second step"

PHONE = {"width": 360, "height": 740}
NARROWEST = {"width": 320, "height": 640}

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None and os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(MISSING)
    if path is None:
        pytest.skip(MISSING)
    with open_browser(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def demo_process(browser: Browser) -> Iterator[DemoProcess]:
    with DemoProcess() as started:
        yield started


@pytest.fixture
def demo(demo_process: DemoProcess) -> DemoProcess:
    demo_process.sandbox.reset()
    return demo_process


@pytest.fixture
def new_context(
    browser: Browser, demo: DemoProcess, request: pytest.FixtureRequest
) -> Iterator[NewContext]:
    """Opens shoppers' browsers; their pages must load nothing foreign and raise no error."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def new(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=demo.url, locale="en-US", **options)
        context.set_default_timeout(15_000)
        context.on("request", lambda sent: _note_foreign(sent.url, demo.origins, wrong))
        context.on("weberror", lambda found: wrong.append(str(found.error)))
        context.on("console", lambda said: _note_violation(said.text, wrong))
        opened.append(context)
        return context

    yield new
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    for number, page in enumerate(page for context in opened for page in context.pages):
        page.screenshot(path=SCREENSHOTS / f"{name}-{number}.png", full_page=True)
    for context in opened:
        context.close()
    assert wrong == []


@pytest.fixture
def page(new_context: NewContext) -> Page:
    return new_context().new_page()


def _note_foreign(url: str, origins: tuple[str, ...], wrong: list[str]) -> None:
    if not url.startswith(tuple(f"{origin}/" for origin in origins)):
        wrong.append(f"foreign: {url}")


def _note_violation(text: str, wrong: list[str]) -> None:
    if "Content Security Policy" in text:
        wrong.append(text)


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


# Paying


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


def test_the_client_secret_does_not_stay_in_the_address_bar(page: Page) -> None:
    open_checkout(page, PAYS)
    pay(page)
    expect_paid(page)
    assert "secret" not in page.url


def test_an_incomplete_card_is_told_at_its_field(page: Page, demo: DemoProcess) -> None:
    open_checkout(page)
    card_form(page).get_by_label("Card number").fill("4242 4242")
    pay(page)
    number = card_form(page).get_by_label("Card number")
    expect(number).to_have_attribute("aria-invalid", "true")
    expect(number).to_be_focused()
    expect(card_form(page).get_by_text("Your card number is incomplete.")).to_be_visible()
    assert payments(demo.sandbox) == 0


def test_a_declined_card_then_another_on_the_same_payment_intent(
    page: Page, demo: DemoProcess
) -> None:
    open_checkout(page, DECLINED)
    pay(page)
    expect(page.get_by_role("alert").get_by_text("Your bank declined this card")).to_be_visible()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_second_step_that_is_taken(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, SECOND_STEP)
    pay(page)
    page.get_by_role("button", name="Complete").click()
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_second_step_that_fails_then_another_card(page: Page, demo: DemoProcess) -> None:
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
def test_an_amount_is_shown_in_its_currency_s_own_way(
    page: Page, currency: str, total: str
) -> None:
    open_checkout(page)
    page.get_by_label("Start another order in").select_option(currency.lower())
    page.get_by_role("button", name="Start").click()
    # Unicode puts a no-break space after a currency's letters.
    expect(page.locator("#total")).to_have_text(re.compile(total.replace(" ", r"\s")))
    expect(page.get_by_role("button", name="Pay")).to_contain_text(total.split()[-1])


# Paying twice by mistake


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


def test_a_reload_in_mid_payment(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    demo.sandbox.faults([{"kind": "slow", "seconds": 1, "match": CONFIRM}])
    with page.expect_request("**/confirm"):
        pay(page)
    page.reload()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_reload_after_the_payment_shows_it_again(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    pay(page)
    expect_paid(page)
    page.reload()
    expect_paid(page)
    expect(page.get_by_role("button", name="Pay")).to_be_hidden()
    assert_paid_once(page, demo.sandbox)


def test_the_back_button_after_the_payment(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    pay(page)
    expect_paid(page)
    page.go_back()
    expect_paid(page)
    expect(page.get_by_role("button", name="Pay")).to_be_hidden()
    assert_paid_once(page, demo.sandbox)


def test_the_back_button_at_the_bank(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, SECOND_STEP)
    pay(page)
    page.get_by_role("button", name="Complete").wait_for()
    page.go_back()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_two_tabs_are_at_the_same_order(new_context: NewContext, demo: DemoProcess) -> None:
    context = new_context()
    first, second = context.new_page(), context.new_page()
    open_checkout(first, PAYS)
    open_checkout(second, PAYS)
    first.bring_to_front()
    pay(first)
    expect_paid(first)
    second.bring_to_front()
    pay(second)
    expect_paid(second)
    assert_paid_once(second, demo.sandbox)


# Bad connections


def test_offline_in_mid_post(page: Page, demo: DemoProcess) -> None:
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


def test_offline_after_the_post(page: Page, demo: DemoProcess) -> None:
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


def test_a_lost_answer_to_the_confirmation(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    demo.sandbox.faults([{"kind": "lost_after", "match": CONFIRM}])
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_an_unavailable_service_is_asked_again_in_its_own_time(
    page: Page, demo: DemoProcess
) -> None:
    asked = []

    def unavailable_once(route: Route) -> None:
        asked.append(route.request.post_data)
        if len(asked) > 1:
            return route.continue_()
        body = {"error": "Failed.", "code": "store_unavailable", "action": "retry_same"}
        return route.fulfill(status=503, headers={"Retry-After": "1"}, json=body)

    page.route("**/create-payment-intent", unavailable_once)
    open_checkout(page, PAYS)
    expect(page.get_by_text("sending the same again in 1.0 s")).to_be_visible()
    assert len(asked) == 2
    assert len(set(asked)) == 1


def test_an_order_that_cannot_be_paid_says_so_and_is_not_sent_again(page: Page) -> None:
    asked = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        body = {"error": "Reused.", "code": "order_reused", "action": "fix_request"}
        route.fulfill(status=422, json=body)

    page.route("**/create-payment-intent", refuse)
    page.goto("/")
    expect(page.get_by_role("alert").get_by_text("This order has changed")).to_be_visible()
    assert len(asked) == 1


def test_the_buttons_that_try_to_pay_twice(page: Page, demo: DemoProcess) -> None:
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


# For everybody


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_way_to_the_payment(
    new_context: NewContext, color_scheme: str
) -> None:
    page = new_context(color_scheme=color_scheme, viewport=PHONE).new_page()
    open_checkout(page, DECLINED)
    assert_axe_finds_nothing(page)
    pay(page)
    expect(page.get_by_role("alert").get_by_text("Your bank declined")).to_be_visible()
    card_form(page).get_by_label("Security code").fill("1")
    pay(page)
    expect(page.get_by_text("Please complete the marked fields.")).to_be_visible()
    assert_axe_finds_nothing(page)
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_axe_finds_nothing(page)


@pytest.mark.parametrize("path", ["/", "/demo/faults"])
def test_nothing_is_wider_than_a_phone(new_context: NewContext, path: str) -> None:
    page = new_context(viewport=NARROWEST).new_page()
    page.goto(path)
    page.get_by_role("button").first.wait_for()
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= NARROWEST["width"]


def test_the_order_can_be_paid_with_the_keyboard_alone(page: Page, demo: DemoProcess) -> None:
    open_checkout(page)
    card_form(page).get_by_label("Card number").focus()
    for text in ("4242424242424242", "1234", "123"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay $")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank you")).to_be_focused()
    assert_paid_once(page, demo.sandbox)


# /demo/faults

RIGHT = {
    "Pay is pressed 20 times": ("One PaymentIntent", "20 PaymentIntents", "One PaymentIntent"),
    "Stripe's answers are lost": ("One PaymentIntent", "2 PaymentIntents", "One PaymentIntent"),
    "Stripe says 500, and made it": (
        "One PaymentIntent",
        "2 PaymentIntents",
        "Stuck: cannot be paid",
    ),
    "The server dies in mid-call": ("One PaymentIntent", "2 PaymentIntents", "One PaymentIntent"),
    "The shopper comes back tomorrow": (
        "One PaymentIntent",
        "2 PaymentIntents",
        "2 PaymentIntents",
    ),
    "Two shops, one order number": ("One for each", "One for each", "B was given A's"),
}


def test_every_fault_ends_well_for_the_service_and_as_it_must_for_the_tutorials(
    new_context: NewContext,
) -> None:
    page = new_context(color_scheme="dark").new_page()
    page.goto("/demo/faults")
    page.get_by_role("button", name="Run all six").click()
    summary = page.get_by_role("status").filter(
        has_text="It came out right: This service in 6 of 6"
    )
    expect(summary).to_be_visible(timeout=60_000)
    for title, verdicts in RIGHT.items():
        row = page.locator(".row").filter(has_text=title)
        assert tuple(row.locator(".verdict").all_text_contents()) == verdicts, title
    page.get_by_text("The tutorial code that runs here").click()
    expect(page.get_by_label("The tutorial code").get_by_text("NAIVE ON PURPOSE")).to_be_visible()
    assert_axe_finds_nothing(page)


def test_axe_finds_nothing_before_a_fault(new_context: NewContext) -> None:
    page = new_context(viewport=PHONE).new_page()
    page.goto("/demo/faults")
    page.get_by_role("button", name="Run all six").wait_for()
    assert_axe_finds_nothing(page)
