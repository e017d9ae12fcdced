"""The operator's page: why an order is unknown, what to do about it, and who did it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.test_accessibility import CUT_OFF, FRAME_MARGIN, NARROWEST, PHONE
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop import API_KEYS, OPERATOR_KEYS, bearer, clients_file, entry, operator
from tests.support.shopper import assert_axe_finds_nothing

CREATION = {"method": "POST", "path": "/v1/payment_intents$"}
SCREENSHOTS = ROOT / "build" / "screenshots"

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def service(
    browser: Browser, sandbox_process: SandboxProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """The service with the operators anna, who may act, and ben, who may read."""
    shops = entry("shop-a"), entry("shop-b")
    path = clients_file(
        tmp_path_factory.mktemp("clients"),
        *shops,
        operator("anna", "act"),
        operator("ben", "read"),
    )
    # One send, so that a lost answer is not tried again.
    environ = {"CLIENTS_FILE": str(path), "STRIPE_MAX_ATTEMPTS": "1"}
    with ServiceProcess(sandbox_process.url, environ) as started:
        yield started


@pytest.fixture
def opened(
    browser: Browser, service: ServiceProcess, sandbox: SandboxProcess, request: Any
) -> Iterator[Opened]:
    """Open the page; it must load nothing foreign, raise no error and keep its own policy."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_(name: str | None = "anna", **options: Any) -> Page:
        context = browser.new_context(base_url=service.url, locale="en-US", **options)
        contexts.append(context)
        context.on("weberror", lambda found: wrong.append(str(found.error)))
        context.on(
            "console",
            lambda said: wrong.append(said.text) if "Security Policy" in said.text else None,
        )
        context.on(
            "request",
            lambda sent: wrong.append(sent.url) if not sent.url.startswith(service.url) else None,
        )
        page = context.new_page()
        page.goto("/operator")
        if name:
            log_in(page, OPERATOR_KEYS[name])
            expect(page.get_by_role("heading", name="Find an order")).to_be_visible()
        return page

    yield open_
    for number, page in enumerate(page for context in contexts for page in context.pages):
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        page.screenshot(path=SCREENSHOTS / f"{name}-{number}.png", full_page=True)
    for context in contexts:
        context.close()
    assert wrong == []


def log_in(page: Page, key: str) -> None:
    page.get_by_label("Operator key").fill(key)
    page.get_by_role("button", name="Log in").click()


def create(service: ServiceProcess, order_id: str, client_id: str = "shop-a", **fields: Any) -> Any:
    body = {"order_id": order_id, "amount": 1099, **fields}
    key: Any = bearer(API_KEYS[client_id])
    return service.post("/create-payment-intent", body, **key).json()


def unknown(service: ServiceProcess, sandbox: SandboxProcess, order_id: str) -> None:
    sandbox.faults([{"kind": "lost_after", "count": 1, "match": CREATION}])
    assert create(service, order_id)["code"] == "stripe_unreachable"


def paid(service: ServiceProcess, sandbox: SandboxProcess, order_id: str, **fields: Any) -> None:
    intent_id = create(service, order_id, **fields)["payment_intent_id"]
    card = {"payment_method": "pm_card_visa", "return_url": "https://shop.example"}
    assert sandbox.send("POST", f"/v1/payment_intents/{intent_id}/confirm", card).ok


def find(page: Page, order_id: str) -> None:
    page.get_by_label("Order number").fill(order_id)
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", name=f"Order {order_id}")).to_be_focused()


def do(page: Page, action: str, yes: str) -> None:
    page.get_by_role("button", name=action).click()
    page.get_by_role("dialog").get_by_role("button", name=yes, exact=True).click()


def story(page: Page) -> list[str]:
    return page.get_by_role("list", name="What happened").get_by_role("listitem").all_inner_texts()


def history(service: ServiceProcess, order_id: str) -> list[tuple[str, str | None]]:
    """The history as the shop's own API shows it: each entry, and who caused it."""
    answer = requests.get(
        f"{service.url}/payment-intent",
        params={"order_id": order_id},
        headers=bearer(API_KEYS["shop-a"]),
        timeout=10,
    )
    return [(each["what"], each.get("by")) for each in answer.json()["history"]]


def test_operator_finds_why_an_order_is_unknown_and_refunds_another(
    opened: Opened, service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    unknown(service, sandbox, "U-1")
    paid(service, sandbox, "P-1")
    page = opened()
    page.get_by_role("button", name="U-1").click()
    expect(page.get_by_role("heading", name="Why this order is unknown")).to_be_visible()
    expect(page.get_by_text("Stripe did not answer. So the service does not know")).to_be_visible()
    expect(page.get_by_text("reconcile command or Resolve now settles it")).to_be_visible()
    do(page, "Resolve now", "Resolve now")
    expect(page.get_by_text("Resolved.")).to_be_visible()
    expect(page.get_by_role("heading", name="Why this order is unknown")).to_be_hidden()
    assert "by the operator anna" in story(page)[-1]
    assert history(service, "U-1") == [
        ("claimed", None),
        ("unknown", None),
        ("taken over", "operator:anna"),
        ("created", "operator:anna"),
    ]
    assert sandbox.state().order("U-1", "shop-a").count == 1

    find(page, "P-1")
    page.get_by_role("button", name="Ask Stripe").click()
    expect(page.locator("#order-body").get_by_text("Paid", exact=True)).to_be_visible()
    page.get_by_role("button", name="Refund").click()
    page.get_by_label("Amount in USD").fill("5.00")
    page.get_by_role("dialog").get_by_role("button", name="Refund").click()
    expect(page.get_by_text("The refund is made.")).to_be_visible()
    assert history(service, "P-1")[-2:] == [
        ("refund claimed", "operator:anna"),
        ("refunded", "operator:anna"),
    ]
    assert "by the operator anna" in story(page)[-1]
    assert [each["amount"] for each in sandbox.state().order("P-1", "shop-a").refunds] == [500]
    expect(page.locator("#totals").get_by_text("$5.00")).to_be_visible()


def test_a_refund_without_an_answer_is_sent_again_and_made_once(
    opened: Opened, service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    paid(service, sandbox, "R-1")
    page = opened()
    find(page, "R-1")
    page.get_by_role("button", name="Ask Stripe").click()
    sandbox.faults(
        [{"kind": "lost_after", "count": 1, "match": {"method": "POST", "path": "/v1/refunds"}}]
    )
    do(page, "Refund", "Refund")
    expect(page.get_by_role("alert").get_by_text("safe to send the same again")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Do nothing").click()
    page.get_by_role("button", name="Read again").click()
    expect(
        page.get_by_role("heading", name=re.compile("The refund by-hand-.* is unknown"))
    ).to_be_visible()
    do(page, "Send again", "Send again")
    expect(page.get_by_text("The refund is settled.")).to_be_visible()
    [made] = sandbox.state().order("R-1", "shop-a").refunds
    assert made["amount"] == 1099


def test_an_order_is_captured_and_another_canceled(
    opened: Opened, service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    paid(service, sandbox, "C-1", capture_method="manual")
    create(service, "C-2")
    page = opened()
    find(page, "C-1")
    page.get_by_role("button", name="Ask Stripe").click()
    page.get_by_role("button", name="Capture").click()
    page.get_by_label("Amount in USD").fill("x")
    page.get_by_role("dialog").get_by_role("button", name="Capture").click()
    expect(page.get_by_role("alert").get_by_text("is no amount in USD")).to_be_visible()
    page.get_by_label("Amount in USD").fill("7.00")
    page.get_by_role("dialog").get_by_role("button", name="Capture").click()
    expect(page.get_by_text("The payment is captured.")).to_be_visible()
    find(page, "C-2")
    do(page, "Cancel the payment", "Cancel the payment")
    expect(page.get_by_text("The payment is canceled.")).to_be_visible()
    assert history(service, "C-1")[-1][1] == history(service, "C-2")[-1][1] == "operator:anna"
    assert sandbox.state().order("C-2", "shop-a").payable == 0


def test_a_decision_against_an_action_changes_nothing(
    opened: Opened, service: ServiceProcess
) -> None:
    create(service, "N-1")
    page = opened()
    find(page, "N-1")
    before = history(service, "N-1")
    page.get_by_role("button", name="Cancel the payment").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    do(page, "Cancel the payment", "Do nothing")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert history(service, "N-1") == before


def test_a_reader_sees_no_action(opened: Opened, service: ServiceProcess) -> None:
    create(service, "B-1")
    page = opened("ben")
    expect(page.get_by_text("ben, may read")).to_be_visible()
    find(page, "B-1")
    names = page.locator("#order-body").get_by_role("button").all_inner_texts()
    assert names == ["Read again"]


def test_the_key_is_kept_in_memory_only(
    opened: Opened, service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    create(service, "K-1")
    key = OPERATOR_KEYS["anna"]
    page = opened(None)
    sent: list[str] = []
    page.on("request", lambda each: sent.append(each.url))
    log_in(page, key)
    find(page, "K-1")
    kept = """async () => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie,
        await indexedDB.databases(), await caches.keys(), history.state, name])"""
    assert page.evaluate(kept) == '[{},{},"",[],[],null,""]'
    assert page.context.cookies() == []
    assert page.get_by_label("Operator key").input_value() == ""
    assert not any(key in url for url in [*sent, page.url])
    assert key not in page.content()
    assert key not in service.log()
    page.reload()
    expect(page.get_by_label("Operator key")).to_be_visible()
    expect(page.get_by_text("K-1")).to_be_hidden()


def test_a_wrong_key_and_a_shops_key_open_nothing(opened: Opened) -> None:
    page = opened(None)
    for key in ("wrong", API_KEYS["shop-a"]):
        log_in(page, key)
        expect(page.get_by_role("alert").get_by_text("belongs to no operator")).to_be_visible()
        expect(page.get_by_role("heading", name="Find an order")).to_be_hidden()


def test_logging_out_leaves_nothing_on_the_page(opened: Opened, service: ServiceProcess) -> None:
    create(service, "L-1")
    page = opened()
    find(page, "L-1")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Operator key")).to_be_focused()
    assert "L-1" not in page.content()


def test_a_hostile_order_number_is_shown_as_text(opened: Opened, service: ServiceProcess) -> None:
    order_id = '<img src="/x" onerror="document.title=1">&amp;'
    create(service, order_id)
    page = opened()
    find(page, order_id)
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator("#list").get_by_text(order_id)).to_be_visible()
    assert page.title() == "Orders · Operator"
    assert page.locator("main img").count() == 0


def test_a_page_that_is_left_open_forgets_the_key(opened: Opened, service: ServiceProcess) -> None:
    create(service, "I-1")
    page = opened(None)
    page.clock.install()
    log_in(page, OPERATOR_KEYS["anna"])
    find(page, "I-1")
    page.clock.fast_forward("29:00")
    page.get_by_label("Order number").press("x")
    page.clock.fast_forward("29:00")
    expect(page.get_by_role("heading", name="Order I-1")).to_be_visible()
    page.clock.fast_forward("02:00")
    expect(page.get_by_role("alert").get_by_text("You were logged out")).to_be_visible()
    assert "I-1" not in page.content()


def test_two_clients_with_one_order_number_are_offered(
    opened: Opened, service: ServiceProcess
) -> None:
    create(service, "T-1")
    create(service, "T-1", "shop-b", amount=200)
    page = opened()
    page.get_by_label("Order number").fill("T-1")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("2 clients have an order T-1.")).to_be_visible()
    page.get_by_role("button", name="shop-b", exact=True).click()
    expect(page.locator(".facts").get_by_text("$2.00")).to_be_visible()


def test_without_a_clients_file_there_is_no_page(
    browser: Browser, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    with ServiceProcess(sandbox.url) as open_access:
        page = browser.new_context(base_url=open_access.url).new_page()
        answer = page.goto("/operator")
        assert answer
        assert answer.status == 404
        page.context.close()


@pytest.mark.parametrize("viewport", [PHONE, NARROWEST, {"width": 1100, "height": 800}])
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_no_violation_and_the_page_fits(
    opened: Opened,
    service: ServiceProcess,
    sandbox: SandboxProcess,
    color_scheme: str,
    viewport: dict[str, int],
) -> None:
    order_id = (
        f"X-{color_scheme}-{viewport['width']}-with-a-number-that-is-much-longer-than-a-phone"
    )
    unknown(service, sandbox, order_id)
    page = opened(None, color_scheme=color_scheme, viewport=viewport)
    check(page, viewport)
    log_in(page, OPERATOR_KEYS["anna"])
    page.get_by_role("button", name=order_id).wait_for()
    check(page, viewport)
    find(page, order_id)
    check(page, viewport)
    page.get_by_role("button", name="Resolve now").click()
    check(page, viewport)
    page.get_by_role("dialog").get_by_role("button", name="Resolve now").click()
    expect(page.get_by_text("Resolved.")).to_be_visible()
    check(page, viewport)


def check(page: Page, viewport: dict[str, int]) -> None:
    assert_axe_finds_nothing(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= viewport["width"]
    # A field scrolls what is longer than itself.
    cut = [each for each in page.evaluate(CUT_OFF, FRAME_MARGIN) if not each.startswith("<input")]
    assert cut == []


def test_the_keyboard_alone_can_resolve(
    opened: Opened, service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    unknown(service, sandbox, "Y-1")
    page = opened(None)
    page.get_by_label("Operator key").focus()
    page.keyboard.type(OPERATOR_KEYS["anna"])
    page.keyboard.press("Enter")
    expect(page.get_by_text("anna, may act")).to_be_visible()
    page.get_by_label("Order number").focus()
    page.keyboard.type("Y-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Order Y-1")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Resolve now")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Resolve now", exact=True).last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Resolved.")).to_be_visible()
