"""Accessibility: axe-core, keyboard, narrow screens, light and dark colour schemes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.demo_process import DemoProcess
from tests.support.shopper import (
    DECLINED,
    PAYS,
    SECOND_STEP,
    NewContext,
    assert_axe_finds_nothing,
    assert_paid_once,
    card_form,
    expect_paid,
    fill,
    open_checkout,
    pay,
)

PHONE = {"width": 360, "height": 740}
NARROWEST = {"width": 320, "height": 640}


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_checkout(new_context: NewContext, color_scheme: str) -> None:
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


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_the_bank_page(
    new_context: NewContext, color_scheme: str
) -> None:
    page = new_context(color_scheme=color_scheme).new_page()
    open_checkout(page, SECOND_STEP)
    pay(page)
    page.get_by_role("button", name="Complete").wait_for()
    assert_axe_finds_nothing(page)


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_documentation(
    new_context: NewContext, color_scheme: str
) -> None:
    page = new_context(color_scheme=color_scheme, viewport=PHONE).new_page()
    page.goto("/docs")
    assert_axe_finds_nothing(page)


# The card form's frame is this much wider on each side, so that its focus ring is not cut.
FRAME_MARGIN = 3

# Texts that reach beyond the screen, or beyond a box that cuts or scrolls them.
CUT_OFF = """FRAME_MARGIN => [...document.querySelectorAll("body *")].filter((each) => {
  const { right, width } = each.getBoundingClientRect();
  if (!width || getComputedStyle(each).position === "absolute") return false;
  const hidden = each.clientWidth > 0 && each.scrollWidth > each.clientWidth + FRAME_MARGIN;
  return right > innerWidth || hidden;
}).map((each) => each.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("path", ["/", "/demo/faults", "/docs"])
@pytest.mark.parametrize("viewport", [PHONE, NARROWEST])
def test_a_page_fits_a_narrow_phone(
    new_context: NewContext, path: str, viewport: dict[str, int]
) -> None:
    page = new_context(viewport=viewport).new_page()
    page.goto(path)
    page.get_by_role("heading").first.wait_for()
    if path != "/docs":
        page.get_by_role("button").first.wait_for()
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= viewport["width"]
    assert page.evaluate(CUT_OFF, FRAME_MARGIN) == []


@pytest.mark.parametrize("width", [320, 360, 414, 760, 1100])
def test_the_counters_stand_in_one_line(new_context: NewContext, width: int) -> None:
    page = new_context(viewport={"width": width, "height": 740}).new_page()
    open_checkout(page, PAYS)
    boxes = [each.bounding_box() for each in page.locator(".tally dd").all()]
    tops = [box["y"] for box in boxes if box]
    assert len(tops) == 3
    assert len(set(tops)) == 1


def test_the_keyboard_alone_can_pay(page: Page, demo: DemoProcess) -> None:
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
