"""The bank's page, on which a shopper approves or rejects a payment that requires an action."""

from __future__ import annotations

import json
from string import Template
from urllib.parse import urlencode

from sandbox.answers import JsonObject, Response
from sandbox.currencies import format_amount

_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox bank</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 Inter, system-ui, sans-serif;
    --page: light-dark(#eef1f5, #131518); --card: light-dark(#fff, #1d2024);
    --text: light-dark(#1a1d21, #eceef1); --quiet: light-dark(#5b636d, #a7afb9);
    --main: light-dark(#2b4c7e, #9dbcf0); --on-main: light-dark(#fff, #0f1a2b) }
  body { margin: 0; color: var(--text); background: var(--page) }
  main { max-width: 22rem; margin: 14vh auto; padding: 1.75rem; background: var(--card);
    border-radius: 16px }
  h1 { margin: 0; font-size: 1rem; font-weight: 500; color: var(--quiet) }
  .amount { margin: .2rem 0 1rem; font-size: 2rem; font-weight: 600 }
  button { width: 100%; padding: .75rem 1rem; margin-top: .6rem; font: inherit; font-weight: 600;
    color: var(--text); background: none; border: 1px solid var(--quiet); border-radius: 8px;
    cursor: pointer }
  button:first-of-type { color: var(--on-main); background: var(--main); border-color: var(--main) }
</style>
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
