"""The form of each credential: functions that return the value or raise ValueError with the rule.

Stripe documents only the prefixes of its keys and secrets, not their lengths, so no length is
checked. The characters are: a placeholder (`sk_test_…`), a quote or a space is never part of one.
"""

from __future__ import annotations

import re

from payment_service.schema.secret import Secret

SECRET_KEY_PREFIXES = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")

_SECRET_KEY = re.compile(r"[sr]k_(test|live)_[A-Za-z0-9_]+", re.ASCII)
_PUBLISHABLE_KEY = re.compile(r"pk_(test|live)_[A-Za-z0-9_]+", re.ASCII)

# Stripe's are letters and digits; other senders of this scheme encode theirs in base64.
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9_+/=-]+", re.ASCII)

# A secret of the shop's own choice: any characters that an environment file passes on unchanged.
_OWN_SECRET = re.compile(r"""[^\s"'`,\x00-\x1f\x7f]+""")

# PayPal documents no form for its client IDs, secrets and webhook IDs: letters, digits, _ and -.
_PAYPAL = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)

# Credentials of Stripe that are something else than a secret the shop has made up. An order events
# secret may begin with whsec_, as Standard Webhooks has it.
_OF_STRIPE = re.compile(r"([srp]k_(test|live|org)|we_[A-Za-z0-9]|pi_[A-Za-z0-9])")


def secret_key(value: Secret) -> Secret:
    text = value.get_secret_value()
    if text.startswith("sk_org_"):
        raise ValueError(
            "must be an account's key, not an organization's (sk_org_): that one needs a header "
            "which names the account, and this service does not send it"
        )
    if not _SECRET_KEY.fullmatch(text):
        raise ValueError(
            "must be a complete key without spaces that begins with one of "
            f"{', '.join(SECRET_KEY_PREFIXES)}"
        )
    return value


def publishable_key(value: str) -> str:
    if not _PUBLISHABLE_KEY.fullmatch(value):
        raise ValueError(
            "must be a complete key without spaces that begins with pk_test_ or pk_live_"
        )
    return value


def webhook_secrets(value: Secret) -> Secret:
    if not all(_WEBHOOK_SECRET.fullmatch(each.strip()) for each in _parts(value)):
        raise ValueError(
            "must be one or more signing secrets like whsec_abc123, separated by commas; Stripe's "
            "dashboard shows it on the endpoint's page (we_ is the endpoint's id, sk_ an API key)"
        )
    return value


def paypal_client_id(value: str) -> str:
    if not _PAYPAL.fullmatch(value):
        raise ValueError("must be the client ID of a REST app, without spaces")
    return value


def paypal_secret(value: Secret) -> Secret:
    if not _PAYPAL.fullmatch(value.get_secret_value()):
        raise ValueError("must be the secret of a REST app, without spaces")
    return value


def paypal_webhook_ids(value: str) -> str:
    if not all(_PAYPAL.fullmatch(each.strip()) for each in value.split(",")):
        raise ValueError(
            "must be one or more webhook IDs like 1JE4291016473214C, separated by commas"
        )
    return value


def own_secrets(value: Secret) -> Secret:
    """Check secrets that the shop has made up, separated by commas."""
    if not all(_is_own(each.strip()) for each in _parts(value)):
        raise ValueError(
            "must be one or more secrets, separated by commas, none of them empty, with spaces or "
            "quotes, or a key of Stripe's"
        )
    return value


def token_secret(value: Secret) -> Secret:
    """Check that a shared secret for tokens is none that others know."""
    text = value.get_secret_value()
    if _OF_STRIPE.match(text) or text.startswith("whsec_"):
        raise ValueError("must be a secret of its own, not a key or secret of Stripe's")
    if "-----BEGIN" in text:
        raise ValueError("must be a shared secret: a public key belongs into token_public_keys")
    return value


def _is_own(text: str) -> bool:
    return bool(_OWN_SECRET.fullmatch(text)) and not _OF_STRIPE.match(text)


def _parts(value: Secret) -> list[str]:
    return value.get_secret_value().split(",")
