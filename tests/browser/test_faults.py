"""/demo/faults: the outcome of each fault on each server."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.support.shopper import NewContext, assert_axe_finds_nothing

PHONE = {"width": 360, "height": 740}


OUTCOMES = {
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
    "Stripe is down": (
        "Paid once, at PayPal",
        "Stuck: cannot be paid",
        "Paid 2 times: Stripe and PayPal",
    ),
}


def test_every_fault_has_its_outcome_on_each_server(new_context: NewContext) -> None:
    page = new_context(color_scheme="dark").new_page()
    page.goto("/demo/faults")
    page.get_by_role("button", name="Run all seven").click()
    summary = page.get_by_role("status").filter(
        has_text="It came out right: This service in 7 of 7"
    )
    expect(summary).to_be_visible(timeout=120_000)
    for title, verdicts in OUTCOMES.items():
        row = page.locator(".row").filter(has_text=title)
        assert tuple(row.locator(".verdict").all_text_contents()) == verdicts, title
    page.get_by_text("The tutorial code that runs here").click()
    expect(page.get_by_label("The tutorial code").get_by_text("NAIVE ON PURPOSE")).to_be_visible()
    assert_axe_finds_nothing(page)


def test_axe_finds_no_violation_before_a_fault(new_context: NewContext) -> None:
    page = new_context(viewport=PHONE).new_page()
    page.goto("/demo/faults")
    expect(page.get_by_text("A read creates nothing.")).to_be_visible()
    page.get_by_role("button", name="Run all seven").wait_for()
    assert_axe_finds_nothing(page)
