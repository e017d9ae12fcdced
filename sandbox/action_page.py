"""The bank's page, on which a shopper approves or rejects a payment that requires an action."""

from __future__ import annotations

import json
from string import Template
from urllib.parse import urlencode

from sandbox.answers import JsonObject, Response
from sandbox.currencies import format_amount
from sandbox.page_style import STYLE

_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox bank</title>
$style
<main><h1>Sandbox bank</h1>
<p class="amount">$amount</p>
<p>Do you allow this payment? This is not a bank, and no money moves.</p>
<button data-verb="complete_action">Complete</button>
<button data-verb="fail_action">Fail</button>
<p role="status"></p></main>
<script>
  const back = $back, base = location.pathname.replace(/action$$/, "");
  for (const button of document.querySelectorAll("button")) button.onclick = async () => {
    const answer = await fetch(base + button.dataset.verb, { method: "POST" });
    const status = answer.ok && button.dataset.verb === "complete_action" ? "succeeded" : "failed";
    if (back) location.href = back + "redirect_status=" + status;
    else document.querySelector("[role=status]").textContent = "Done: " + status;
  };
</script></html>
""")


def action_page(intent: JsonObject, return_url: str | None) -> Response:
    """Show two buttons, then redirect to the return_url with the query parameters Stripe adds."""
    page = _PAGE.substitute(
        style=STYLE,
        amount=format_amount(int(intent["amount"]), intent["currency"]).upper(),
        back=_script_text(_return_address(intent, return_url)),
    )
    return Response(200, {"Content-Type": "text/html; charset=utf-8"}, page.encode())


def _return_address(intent: JsonObject, return_url: str | None) -> str | None:
    if not return_url:
        return None
    named = {
        "payment_intent": intent["id"],
        "payment_intent_client_secret": intent["client_secret"],
    }
    joint = "&" if "?" in return_url else "?"
    return f"{return_url}{joint}{urlencode(named)}&"


def _script_text(value: str | None) -> str:
    return json.dumps(value).replace("<", "\\u003c")
