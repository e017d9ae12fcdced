"""The worked examples of docs/clients.md, recomputed step by step and checked by the service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path

import stripe

from payment_service.access.clients import Client, Clients
from payment_service.access.tokens import verified_claims
from payment_service.background.shop_webhook import signature
from payment_service.schema.secret import Secret

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "clients.md").read_text("utf-8")


def example(title: str) -> dict[str, str]:
    """The values of a section's last indented block; a value may go on in the next line."""
    section = PAGE.split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    block = re.findall(r"(?:^ {4}.*\n)+", section, re.MULTILINE)[-1]
    joined = re.sub(r"\n {8,}", "", block)
    rows = (line.split(None, 1) for line in joined.splitlines())
    return {name: value.strip() for name, value in rows}


def hmac_sha256(secret: str, text: str) -> bytes:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def test_the_token_is_what_the_recipe_gives_and_the_service_accepts_it() -> None:
    given = example("Sign an order token")
    (header,) = re.findall(r'exactly this text: `(\{"alg".*?\})`', PAGE)
    signed = f"{base64url(header.encode())}.{base64url(given['claims'].encode())}"
    assert given["token"] == f"{signed}.{base64url(hmac_sha256(given['secret'], signed))}"
    shop = Client(id="shop-a", token_secrets=[Secret(given["secret"])])
    claims = json.loads(given["claims"])
    client, verified = verified_claims(
        given["token"], Clients({"shop-a": shop}), claims["exp"] - 900
    )
    assert (client, verified) == (shop, claims)


def test_the_event_s_signature_is_what_the_recipe_gives_and_the_service_sends_it() -> None:
    given = example("Verify an order event")
    header, body, secret = given["Order-Signature"], given["body"], given["secret"]
    found = re.fullmatch(r"t=(\d+),v1=(\w+)", header)
    assert found
    assert hmac_sha256(secret, f"{found[1]}.{body}").hex() == found[2]
    assert signature(body.encode(), [secret], int(found[1])) == header
    stripe.WebhookSignature.verify_header(body, header, secret)
