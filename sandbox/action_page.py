"""The page of the bank: where a shopper says yes or no to a payment that needs an action."""

from __future__ import annotations

import json
from string import Template
from urllib.parse import urlencode

from sandbox.answers import JsonObject, Response

_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox bank</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
  main { max-width: 24rem; margin: 15vh auto; padding: 0 1rem }
  button { font: inherit; padding: .6rem 1rem; margin-right: .5rem }
</style>
<main><h1>Sandbox bank</h1>
<p>This is not a bank and no money moves. Do you allow this payment of $amount $currency?</p>
<p><button data-verb="complete_action">Complete</button>
<button data-verb="fail_action">Fail</button></p>
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
    """Two buttons, then back to the return_url with what Stripe adds to it."""
    page = _PAGE.substitute(
        amount=int(intent["amount"]),
        currency=intent["currency"].upper(),
        back=_script_text(_back(intent, return_url)),
    )
    return Response(200, {"Content-Type": "text/html; charset=utf-8"}, page.encode())


def _back(intent: JsonObject, return_url: str | None) -> str | None:
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
