"""Stripe.js fails, throws, never answers or loses its card form: the page says so and goes on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.demo_process import DemoProcess
from tests.support.shopper import (
    PAYS,
    assert_paid_once,
    expect_paid,
    fill,
    open_checkout,
    pay,
    payments,
)

# Clicks Pay in the moment in which the page shows the button.
EAGER = """
addEventListener("DOMContentLoaded", () => {
  const card = document.getElementById("card");
  if (card) new MutationObserver(() => {
    if (!card.hidden) setTimeout(() => document.getElementById("pay-button").click());
  }).observe(card, { attributes: true });
});
"""

# Wraps one method of Stripe.js: its first calls from the time on at which `broken` is set do what
# `failure` says.
BREAK = """
(() => {
  const stripes = window.Stripe;
  const failures = {
    throws: () => { throw Object.assign(new Error("Misused."), { name: "IntegrationError" }); },
    rejects: async () => { throw new Error("Broken."); },
    fails: async () => ({ error: { type: "api_error", message: "Stripe failed." } }),
    hangs: () => new Promise(() => {}),
    nothing: async () => ({}),
  };
  const wrap = (object, name) => {
    const own = object[name].bind(object);
    object[name] = (...given) => {
      if (sessionStorage.broken !== name) return own(...given);
      delete sessionStorage.broken;
      return failures[sessionStorage.failure]();
    };
    return object;
  };
  window.Stripe = (...given) => {
    const stripe = stripes(...given);
    for (const name of ["retrievePaymentIntent", "confirmPayment"]) wrap(stripe, name);
    const elements = stripe.elements.bind(stripe);
    stripe.elements = (...options) => {
      const made = elements(...options);
      const create = made.create.bind(made);
      made.create = (...kind) => wrap(create(...kind), "mount");
      return wrap(wrap(made, "create"), "fetchUpdates");
    };
    return wrap(stripe, "elements");
  };
  wrap(window, "Stripe");
})();
"""


def break_stripe_js(page: Page) -> None:
    def broken(route: Route) -> None:
        script = route.fetch()
        route.fulfill(response=script, body=script.text() + BREAK)

    page.route("**/v3/", broken)


def order_failure(page: Page, method: str, failure: str) -> None:
    page.evaluate(
        "([method, failure]) => Object.assign(sessionStorage, {broken: method, failure})",
        [method, failure],
    )


def expect_usable(page: Page) -> None:
    button = page.locator("#pay-button")
    expect(button).to_contain_text("Pay $")
    expect(button).not_to_have_attribute("aria-disabled", "true")


def test_a_press_before_the_card_form_is_loaded_waits_for_it(page: Page, demo: DemoProcess) -> None:
    held: list[Route] = []
    page.route("**/v3/payment_element", lambda route: held.append(route))
    page.add_init_script(EAGER)
    page.goto("/")
    expect(page.locator("#pay-button")).to_have_text("Paying…")
    page.wait_for_function("() => document.querySelector('#payment-element iframe')")
    [frame] = held
    frame.continue_()
    expect(page.get_by_text("Please complete the marked fields.")).to_be_visible()
    expect_usable(page)
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


@pytest.mark.parametrize("slowdown", [1, 20])
def test_an_eager_press_on_a_slow_machine_is_answered(page: Page, slowdown: int) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    page.add_init_script(EAGER)
    page.goto("/")
    expect(page.get_by_text("Please complete the marked fields.")).to_be_visible()
    expect_usable(page)


@pytest.mark.parametrize("file", ["**/v3/", "**/v3/payment_element"])
def test_a_blocked_file_is_reported_and_loaded_again(
    page: Page, demo: DemoProcess, file: str
) -> None:
    page.clock.install()
    page.route(file, lambda route: route.abort("blockedbyclient"), times=1)
    page.goto("/")
    if file.endswith("payment_element"):
        page.wait_for_function("() => document.querySelector('#payment-element iframe')")
        page.clock.run_for(31_000)
    expect(page.get_by_role("alert").get_by_text("could not be loaded")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


@pytest.mark.parametrize("failure", ["throws", "rejects", "fails", "hangs", "nothing"])
@pytest.mark.parametrize("method", ["retrievePaymentIntent", "confirmPayment"])
def test_a_failed_call_after_a_press_leaves_the_button_usable(
    page: Page, demo: DemoProcess, method: str, failure: str
) -> None:
    page.clock.install()
    break_stripe_js(page)
    open_checkout(page, PAYS)
    order_failure(page, method, failure)
    pay(page)
    page.wait_for_function("() => !sessionStorage.broken")
    if failure == "hangs":
        page.clock.run_for(91_000)
    money_and_advice = re.compile("This did not charge you.*(Please|again)")
    expect(page.locator("#card-error")).to_have_text(money_and_advice)
    expect_usable(page)
    assert payments(demo.sandbox) == 0
    if method == "confirmPayment" and failure in ("throws", "rejects"):
        fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


@pytest.mark.parametrize(
    ("method", "failure"),
    [
        ("Stripe", "throws"),
        ("elements", "throws"),
        ("create", "throws"),
        ("mount", "throws"),
        ("retrievePaymentIntent", "throws"),
        ("retrievePaymentIntent", "rejects"),
        ("retrievePaymentIntent", "hangs"),
    ],
)
def test_a_failed_call_at_the_start_can_be_tried_again(
    page: Page, demo: DemoProcess, method: str, failure: str
) -> None:
    page.clock.install()
    break_stripe_js(page)
    page.add_init_script(
        f"if (!sessionStorage.failure) Object.assign(sessionStorage, "
        f"{{broken: {method!r}, failure: {failure!r}}})"
    )
    page.goto("/")
    page.wait_for_function("() => !sessionStorage.broken")
    if failure == "hangs":
        # The page looks three times.
        page.clock.run_for(31_000)
    else:
        expect(page.get_by_role("alert").get_by_text("This did not charge you")).to_be_visible()
        page.get_by_role("button", name="Try again").click()
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_lost_card_form_is_shown_again(page: Page, demo: DemoProcess) -> None:
    open_checkout(page, PAYS)
    page.evaluate("() => document.querySelector('#payment-element iframe').remove()")
    pay(page)
    expect(page.get_by_role("alert").get_by_text("enter your card once more")).to_be_visible()
    expect_usable(page)
    fill(page, PAYS)
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)


def test_a_payment_that_cannot_be_seen_is_called_unclear(page: Page, demo: DemoProcess) -> None:
    """The confirmation succeeds, its answer is lost, and then no look succeeds either."""
    break_stripe_js(page)
    open_checkout(page, PAYS)
    demo.sandbox.faults(
        [
            {"kind": "lost_after", "match": {"method": "POST", "path": "/v1/payment_intents/"}},
            {"kind": "error_503", "match": {"method": "GET"}, "skip": 1, "count": 3},
        ]
    )
    pay(page)
    unclear = page.get_by_role("alert").get_by_text("We cannot see yet whether")
    expect(unclear).to_be_visible()
    expect(page.locator("#card-error")).not_to_contain_text("did not charge")
    expect_usable(page)
    demo.sandbox.clear_faults()
    pay(page)
    expect_paid(page)
    assert_paid_once(page, demo.sandbox)
