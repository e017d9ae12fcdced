"""The sandbox's objects have the fields and the types of Stripe's published examples."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.paid_intents import DISPUTES, PaidShop
from tests.support.stripe_fixtures import stripe_fixture

# Fields of a published example that Stripe leaves out of the same object here.
LEFT_OUT = {
    "payment_intent": {
        "managed_payments",  # in public preview
    },
    "charge": {
        "refunds",  # only if expanded, since 2022-11-15
    },
    "refund": set[str](),
    "dispute": set[str](),
    "balance_transaction": set[str](),
}
# Fields that Stripe has, but its published example leaves out.
NOT_IN_EXAMPLE = {
    "payment_intent": {"allowed_payment_method_types"},
    "charge": set[str](),
    "refund": {"failure_reason", "failure_balance_transaction", "pending_reason"},
    "dispute": set[str](),
    "balance_transaction": set[str](),
}
# Values that one object has and the other has as null, or with a type of their own.
ANY_VALUE = {"installments", "three_d_secure", "wallet", "source", "shipping", "transfer_data"}


def objects() -> dict[str, list[dict[str, Any]]]:
    shop = PaidShop()
    paid, failing, debit = shop.pay(), shop.pay("pm_card_refundFail"), shop.pay("pm_usBankAccount")
    authorized, disputed = shop.authorize(), shop.pay("pm_card_createDispute")
    refunds = [shop.refunded(paid), shop.refunded(failing)]
    shop.now += 4 * 86_400
    refunds += [shop.refunded(debit)]
    refunds += [shop.get(f"/v1/refunds/{each['id']}").json() for each in refunds]
    disputes = shop.get(DISPUTES).json()["data"]
    intents = [paid, failing, debit, authorized, disputed]
    return {
        "payment_intent": [shop.intent(each["id"]) for each in intents],
        "charge": [shop.charge(each) for each in intents],
        "refund": refunds,
        "dispute": disputes,
        "balance_transaction": [
            entry for each in disputes for entry in each["balance_transactions"]
        ],
    }


@pytest.mark.parametrize("kind", sorted(LEFT_OUT))
def test_an_object_has_the_fields_of_stripes_example(kind: str) -> None:
    example, ours = stripe_fixture(kind), objects()[kind]
    assert ours
    for each in ours:
        assert example.keys() - each.keys() <= LEFT_OUT[kind] | optional(each, kind)
        assert each.keys() - example.keys() <= NOT_IN_EXAMPLE[kind]


@pytest.mark.parametrize("kind", sorted(LEFT_OUT))
def test_a_field_has_the_type_of_stripes_example(kind: str) -> None:
    example = stripe_fixture(kind)
    for each in objects()[kind]:
        assert list(differences(each, example, kind)) == []


def optional(ours: dict[str, Any], kind: str) -> set[str]:
    """A refund to a bank has no destination_details in the sandbox."""
    is_card = str(ours["payment_method"]).startswith("pm_card") if kind == "refund" else True
    return set() if is_card else {"destination_details"}


@pytest.mark.parametrize("kind", sorted(LEFT_OUT))
def test_a_hash_has_the_fields_of_stripes_example(kind: str) -> None:
    example = stripe_fixture(kind)
    for each in objects()[kind]:
        for name in (n for n in each if n not in ANY_VALUE and n != "metadata"):
            assert missing(each[name], example.get(name), name) == set()


def missing(ours: Any, example: Any, path: str) -> set[str]:
    """Return the fields of the example's hashes that ours lack."""
    if not (isinstance(ours, dict) and isinstance(example, dict)):
        return set()
    # Details have one hash, which is named after their type: ours may be of another type.
    details = {example.get("type")} - {ours.get("type")}
    found = {f"{path}.{name}" for name in example.keys() - ours.keys() - details}
    for name in ours.keys() & example.keys() - ANY_VALUE:
        found |= missing(ours[name], example[name], f"{path}.{name}")
    return found


def differences(ours: Any, example: Any, path: str) -> list[str]:
    """Return the paths at which both have a value, but of different types."""
    if ours is None or example is None or path.rpartition(".")[2] in ANY_VALUE:
        return []
    if type(ours) is not type(example):
        return [f"{path}: {ours!r}, not {example!r}"]
    if isinstance(ours, dict):
        common = ours.keys() & example.keys()
        return [
            found
            for name in sorted(common)
            for found in differences(ours[name], example[name], f"{path}.{name}")
        ]
    return []
