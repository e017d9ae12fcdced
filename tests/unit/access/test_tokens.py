"""Order tokens: valid only for the fields that the client signed, with its own key, until exp."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from payment_service.access.admission import Access, admitted
from payment_service.access.clients import Clients, load_clients
from payment_service.access.errors import Forbidden, Unauthorized
from payment_service.errors import BadRequest
from payment_service.payments.request.create import PaymentRequest
from payment_service.payments.request.existing_order import StatusRequest
from tests.support.shop import API_KEYS, SECRETS, claims, clients_file, entry, token
from tests.unit.access.test_clients import pem

RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    keys = [f"[clients.rsa]\n{pem(RSA)}", f"[clients.curve]\n{pem(CURVE)}"]
    path = clients_file(tmp_path_factory.mktemp("clients"), entry("shop-a"), entry("shop-b"), *keys)
    return load_clients(path, livemode=False)


def authorize(clients: Clients, proof: str, now: float | None = None) -> Access:
    return admitted(f"Bearer {proof}", clients, time.time() if now is None else now)


def rejection(clients: Clients, proof: str, now: float | None = None) -> Unauthorized:
    with pytest.raises(Unauthorized) as caught:
        authorize(clients, proof, now)
    return caught.value


def unsigned(said: dict[str, Any], **header: Any) -> str:
    parts = [{"alg": "none", "typ": "JWT", **header}, said]
    texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts]
    return ".".join([*texts, ""])


def test_token_gives_access_to_its_order(clients: Clients) -> None:
    access = authorize(clients, token())
    assert (access.kind, access.client_id) == ("token", "shop-a")
    assert access.signed == {
        "order_id": "A-1",
        "amount": 1099,
        "currency": "usd",
        "client_id": "shop-a",
    }


@pytest.mark.parametrize(
    ("client_id", "key", "algorithm"), [("rsa", RSA, "RS256"), ("curve", CURVE, "ES256")]
)
def test_public_key_verifies_its_private_keys_tokens(
    clients: Clients, client_id: str, key: Any, algorithm: str
) -> None:
    made = jwt.encode(claims(client_id), key, algorithm=algorithm)
    assert authorize(clients, made).client_id == client_id
    assert rejection(clients, made[:-4] + "AAAA").code == "unauthorized"


FORGED = {
    "alg none": unsigned(claims()),
    "alg none in capitals": unsigned(claims(), alg="NONE"),
    "no signature": token().rpartition(".")[0] + ".",
    "another client's secret": token(secret=SECRETS["shop-b"]),
    "another client's name": token("shop-b", secret=SECRETS["shop-a"]),
    "another algorithm": jwt.encode(claims(), SECRETS["shop-a"], algorithm="HS512"),
    "nobody's": jwt.encode(claims("nobody"), "x" * 32),
    "a changed claim": token().split(".")[0] + "." + unsigned(claims(amount=1)).split(".")[1] + "."
    + token().split(".")[2],
    "too long": token(note="x" * 6000),
    "no JSON": "e30.e30.e30",
    "five parts": "a.b.c.d.e",
    "null claims": jwt.api_jws.encode(b"null", SECRETS["shop-a"]),
    "a key in the header": unsigned(claims(), alg="HS256", kid="../../etc/passwd", jku="http://x"),
}  # fmt: skip


@pytest.mark.parametrize("made", FORGED.values(), ids=FORGED.keys())
def test_every_forgery_gets_the_same_message(clients: Clients, made: str) -> None:
    error = rejection(clients, made)
    assert error.code == "unauthorized"
    assert error.message == "The token is not one of a client of this service"


def test_public_key_is_not_accepted_as_an_hmac_secret(clients: Clients) -> None:
    """The classic algorithm confusion: HS256 with the public key's text as the secret."""
    text = pem(RSA).split('"""')[1]
    header, body, _ = unsigned(claims("rsa"), alg="HS256").split(".")
    mac = hmac.new(text.encode(), f"{header}.{body}".encode(), hashlib.sha256).digest()
    made = f"{header}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert rejection(clients, made).code == "unauthorized"


def test_token_expires(clients: Clients) -> None:
    assert authorize(clients, token(exp=1000), now=1009.0).kind == "token"
    assert rejection(clients, token(exp=1000), now=1010.0).code == "token_expired"


def test_expired_forgery_gets_the_message_of_a_forgery(clients: Clients) -> None:
    made = token(exp=1000, secret=SECRETS["shop-b"])
    assert rejection(clients, made, now=5000.0).code == "unauthorized"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1000 + 86_400 + 11},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": 10**400},
        {"exp": 2000, "nbf": float("nan")},
        {"exp": 2000, "nbf": 1500},
        {"exp": 2000, "order_id": None},
        {"exp": 2000, "amount": None},
        {"exp": 2000, "currency": None},
    ],
)
def test_invalid_token_claims_are_rejected(clients: Clients, changes: dict[str, Any]) -> None:
    assert rejection(clients, token(**changes), now=1000.0).code == "unauthorized"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
def test_missing_credentials_are_rejected(clients: Clients, header: str | None) -> None:
    with pytest.raises(Unauthorized):
        admitted(header, clients, 0.0)


@given(st.text(max_size=200) | st.builds(".".join, st.lists(st.text(max_size=40), min_size=2)))
def test_arbitrary_text_is_rejected(clients: Clients, proof: str) -> None:
    with pytest.raises(Unauthorized):
        admitted(f"Bearer {proof}", clients, 0.0)


def body(**fields: Any) -> dict[str, Any]:
    return fields


def test_token_supplies_fields_missing_from_the_body(clients: Clients) -> None:
    asked = authorize(clients, token()).checked(body(), PaymentRequest)
    assert (asked.order_id, asked.amount, asked.client_id) == ("A-1", 1099, "shop-a")


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 1099, "currency": "USD", "order_id": "A-1", "client_id": "shop-a"},
        {"amount": None, "receipt_email": "a@shop.example"},
        {"payment_method_types": ["card"], "setup_future_usage": "off_session"},
    ],
)
def test_body_may_repeat_signed_fields_and_add_shopper_fields(
    clients: Clients, fields: dict[str, Any]
) -> None:
    assert authorize(clients, token()).checked(body(**fields), PaymentRequest).amount == 1099


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 1},
        {"currency": "jpy"},
        {"order_id": "A-2"},
        {"client_id": "shop-b"},
        {"customer": "cus_1"},
        {"metadata": {"paid": "yes"}},
        {"description": "x"},
        {"capture_method": "manual"},
    ],
)
def test_body_that_contradicts_the_token_is_rejected(
    clients: Clients, fields: dict[str, Any]
) -> None:
    with pytest.raises(Forbidden) as caught:
        authorize(clients, token()).checked(body(**fields), PaymentRequest)
    assert caught.value.code == "token_mismatch"


def test_shop_may_sign_any_field(clients: Clients) -> None:
    access = authorize(clients, token(customer="cus_1", metadata={"cart": "7"}, order_id=5))
    asked = access.checked(body(order_id="5", customer="cus_1"), PaymentRequest)
    assert (asked.customer, asked.metadata, asked.order_id) == ("cus_1", {"cart": "7"}, "5")


def test_signed_fields_are_validated(clients: Clients) -> None:
    with pytest.raises(BadRequest, match="amount: must be an integer"):
        authorize(clients, token(amount=0)).checked(body(), PaymentRequest)


def test_api_key_sets_every_field_except_the_client(clients: Clients) -> None:
    access = authorize(clients, API_KEYS["shop-b"])
    asked = access.checked(body(amount=1, order_id="B-1", metadata={"a": "b"}), PaymentRequest)
    assert asked.client_id == "shop-b"
    with pytest.raises(Forbidden):
        access.checked(body(amount=1, order_id="B-1", client_id="shop-a"), PaymentRequest)


def test_order_belongs_to_its_own_client(clients: Clients) -> None:
    by_token, by_key = authorize(clients, token()), authorize(clients, API_KEYS["shop-b"])
    asked = by_token.checked({"refresh": "true"}, StatusRequest)
    assert (asked.order_id, asked.client_id, asked.refresh) == ("A-1", "shop-a", "true")
    assert by_key.checked({"order_id": "B-1"}, StatusRequest).client_id == "shop-b"
    for access, order_id, client_id in [
        (by_token, "A-2", None),
        (by_token, "A-1", "shop-b"),
        (by_key, "A-1", "shop-a"),
    ]:
        with pytest.raises(Forbidden):
            access.checked({"order_id": order_id, "client_id": client_id}, StatusRequest)


def test_order_token_cannot_change_an_order(clients: Clients) -> None:
    authorize(clients, API_KEYS["shop-a"]).must_be_the_shop()
    with pytest.raises(Forbidden):
        authorize(clients, token()).must_be_the_shop()
    admitted(None, None, 0.0).must_be_the_shop()
