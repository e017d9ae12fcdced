"""PayPal's page, on which a shopper approves the payment, has a card declined, or goes back."""

from __future__ import annotations

from html import escape
from string import Template
from urllib.parse import parse_qs, urlencode

from sandbox.answers import Response
from sandbox.page_style import STYLE
from sandbox.paypal.acts import Acted, approve
from sandbox.paypal.orders import PAYER, Order

PATH = "/checkoutnow"

CHOICES = {"approve": "COMPLETED", "decline": "INSTRUMENT_DECLINED", "back": None}

_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox wallet</title>
$style
<main><h1>$shop</h1>
<p class="amount">$amount</p>
<p>$description</p>
<p>This is not PayPal, and no money moves.</p>
$actions
</main></html>
""")

_ACTIONS = Template("""<form method="post" action="$path">
<input type="hidden" name="token" value="$token">
<button name="choice" value="approve">Approve</button>
<button name="choice" value="decline">Approve with a card that is declined</button>
<button name="choice" value="back">Go back to the shop</button>
</form>""")


def answered(sandbox: Acted, method: str, target: str, body: bytes) -> Response:
    """Show the page, or do what the shopper chose and return to the shop."""
    if method != "POST":
        tokens = parse_qs(target.partition("?")[2]).get("token", [""])
        return page(sandbox.orders.get(tokens[0]))
    try:
        order_id, choice = read_choice(body)
    except KeyError:
        return page(None)
    order, plan = sandbox.orders.get(order_id), CHOICES[choice]
    if order is None or not order.is_open:
        return page(order)
    if plan:
        approve(sandbox, order_id, plan)
    return return_to_shop(order, approved=bool(plan))


def page(order: Order | None) -> Response:
    """Show the three buttons; without an order that can be approved, say so."""
    if order is None or not order.is_open:
        status = 404 if order is None else 200
        text = "This order has expired." if order is None else "This order needs nothing from you."
        return _html(status, shop="Sandbox wallet", amount="", description=text, actions="")
    amount = order.unit["amount"]
    actions = _ACTIONS.substitute(path=PATH, token=escape(order.id))
    return _html(
        200,
        shop=escape(order.context.get("brand_name", "Sandbox wallet")),
        amount=escape(f"{amount['value']} {amount['currency_code']}"),
        description=escape(order.unit.get("description", "")),
        actions=actions,
    )


def read_choice(body: bytes) -> tuple[str, str]:
    """Return the token and the choice of a form. Raises KeyError."""
    form = parse_qs(body.decode("ascii", "replace"))
    token, choice = form["token"][0], form["choice"][0]
    if choice not in CHOICES:
        raise KeyError(choice)
    return token, choice


def return_to_shop(order: Order, *, approved: bool) -> Response:
    """Redirect to the return or cancel URL with the parameters that PayPal adds."""
    url = order.context["return_url" if approved else "cancel_url"]
    named = {"token": order.id} | ({"PayerID": PAYER["account_id"]} if approved else {})
    joint = "&" if "?" in url else "?"
    return Response(303, {"Location": f"{url}{joint}{urlencode(named)}"}, b"")


def _html(status: int, **parts: str) -> Response:
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    return Response(status, headers, _PAGE.substitute(parts, style=STYLE).encode())
