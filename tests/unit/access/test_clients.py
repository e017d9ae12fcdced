"""The clients file: every wrong entry is named in one line, and no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from payment_service.access.clients import ClientsFileError, load_clients
from tests.support.shop import API_KEYS, clients_file, entry


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f'token_public_keys = ["""{public.decode()}"""]'


def complaint(path: Path, *, livemode: bool = False) -> str:
    with pytest.raises(ClientsFileError) as caught:
        load_clients(path, livemode=livemode)
    return str(caught.value)


def test_a_client_is_found_by_its_api_key(tmp_path: Path) -> None:
    clients = load_clients(clients_file(tmp_path), livemode=False)
    found = clients.by_api_key(API_KEYS["shop-b"])
    assert found is not None
    assert found.id == "shop-b"
    assert clients.by_api_key(API_KEYS["shop-b"] + "x") is None
    assert clients.by_api_key("é") is None


WRONG = [
    ('stripe_acount = "acct_1"', "stripe_acount is not a known entry"),
    ('stripe_account = "hunter2"', "stripe_account must be an account like"),
    ('stripe_secret_key = "hunter2"', "stripe_secret_key must be a complete key"),
    ('stripe_secret_key = "sk_live_hunter2"', "must both be test or both be live"),
    ('stripe_secret_key = "sk_test_hunter2 "', "stripe_secret_key must be a complete key"),
    ("stripe_secret_key = '\"sk_test_hunter2\"'", "stripe_secret_key must be a complete key"),
    ('stripe_secret_key = "sk_org_hunter2"', "not an organization's"),
    ('stripe_publishable_key = "hunter2"', "pk_test_ or pk_live_"),
    ('stripe_publishable_key = "pk_test_"', "complete key"),
    ('stripe_webhook_secret = "we_hunter2"', "stripe_webhook_secret must be one or more"),
    ('stripe_webhook_secret = "whsec_hunter2..."', "stripe_webhook_secret must be one or more"),
    ('stripe_webhook_secret = "whsec_a,sk_test_hunter2"', "must be one or more signing secrets"),
    ('origins = ["https://hunter2.example/path"]', "origins must be an origin like"),
    ('origins = ["https://.*"]', "origins must be an origin like"),
    ('origins = ["*"]', "origins must be an origin like"),
    ("requests_per_minute = 0", "from 1 to 1000000"),
    ('token_public_keys = ["hunter2"]', "must be a public key in PEM form"),
    ('order_events_url = "ftp://hunter2"', "order_events_url must be an address like"),
    ('order_events_url = "https://hunter2.example"', "need each other"),
    ('order_events_secret = "hunter2"', "need each other"),
    ('order_events_secret = "hunter2,,x"', "none of them empty"),
    ('paypal_client_id = "hunter2"', "paypal_client_id and paypal_client_secret need each other"),
    ('paypal_client_secret = "hunter2"', "need each other"),
    ('paypal_client_id = "hunter 2"', "paypal_client_id must be the client ID"),
    ('paypal_webhook_id = "hunter2"', "paypal_webhook_id needs paypal_client_id"),
    ('paypal_return_url = "https://hunter2.example"', "paypal_return_url must be an address with"),
]


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_a_wrong_entry_is_named_and_its_value_is_not(tmp_path: Path, line: str, said: str) -> None:
    message = complaint(clients_file(tmp_path, entry("shop-a", line)))
    assert message.startswith("CLIENTS_FILE: shop-a: ")
    assert said in message
    assert "hunter2" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold tables"),
        ("[clients]", "must hold tables"),
        ("[clients]\nx = 1", "needs a table for each name"),
        ("[client.a]", "must hold tables"),
        ("[clients.a", "is not TOML in UTF-8 (at end of document)"),
        ("[clients.a]", "a: needs token_secrets"),
        ('[clients.a]\nid = "b"', "a: id is not a known entry"),
        ('[clients.a]\ntoken_secrets = ["hunter2"]', "a: token_secrets must have at least 32"),
        (
            f'[clients.a]\ntoken_secrets = ["pk_live_hunter2{"x" * 32}"]',
            "a: token_secrets must be a secret of its own",
        ),
        (
            f'[clients.a]\ntoken_secrets = ["whsec_hunter2{"x" * 32}"]',
            "a: token_secrets must be a secret of its own",
        ),
        (
            f'[clients.a]\ntoken_secrets = ["-----BEGIN PUBLIC KEY----- hunter2{"x" * 32}"]',
            "a: token_secrets must be a shared secret",
        ),
        ('[clients.a]\napi_keys_sha256 = ["hunter2"]', "a: api_keys_sha256 must be the SHA-256"),
        ('[clients." "]\ntoken_secrets = ["' + "x" * 32 + '"]', "printable"),
    ],
)
def test_a_malformed_clients_file_is_rejected(tmp_path: Path, text: str, said: str) -> None:
    message = complaint(clients_file(tmp_path, text))
    assert said in message
    assert "hunter2" not in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "CLIENTS_FILE: cannot be read" in complaint(tmp_path / "nothing.toml")


def test_two_clients_cannot_share_a_secret_or_key(tmp_path: Path) -> None:
    twin = entry("shop-a").replace("shop-a]", "twin]")
    assert "twin: shares a secret" in complaint(clients_file(tmp_path, entry("shop-a"), twin))


def test_only_one_receiver_may_have_a_secret_of_order_events(tmp_path: Path) -> None:
    """Else one shop could sign an event for another. Two clients may share a receiver."""

    def file(secret: str, url: str) -> Path:
        first = 'order_events_url = "https://a.example"', 'order_events_secret = "whsec_x"'
        second = f'order_events_url = "{url}"', f'order_events_secret = "{secret}"'
        return clients_file(tmp_path, entry("shop-a", *first), entry("shop-b", *second))

    message = complaint(file("whsec_new, whsec_x", "https://b.example"))
    assert "shop-b: shares an order_events_secret with shop-a" in message
    assert "whsec_" not in message
    for allowed in (("whsec_x", "https://a.example"), ("whsec_y", "https://b.example")):
        load_clients(file(*allowed), livemode=False)


def test_only_keys_that_hold_are_taken(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    curve = ec.generate_private_key(ec.SECP384R1())
    for key in (weak, curve):
        text = f"[clients.a]\n{pem(key)}"
        assert "RSA with 2048 bits or more" in complaint(clients_file(tmp_path, text))


def test_nothing_of_a_client_shows_in_its_repr(tmp_path: Path) -> None:
    events = 'order_events_url = "https://a.example"', 'order_events_secret = "hunter2"'
    secret_key = 'stripe_secret_key = "sk_test_hunter2"'
    path = clients_file(tmp_path, entry("shop-a", secret_key, *events))
    (client,) = load_clients(path, livemode=False)
    assert "hunter2" not in repr(client)
    assert "secret-of-shop-a" not in f"{client!r} {client.token_keys!r}"
