"""Operators in the clients file: their roles and clients, and every wrong entry in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from payment_service.access.admission import authenticate, authenticate_operator
from payment_service.access.clients import Clients, ClientsFileError, load_clients
from payment_service.errors import Unauthorized
from tests.support.shop import API_KEYS, OPERATOR_KEYS, clients_file, entry, operator

SHOPS = entry("shop-a"), entry("shop-b")


def loaded(directory: Path, *operators: str) -> Clients:
    return load_clients(clients_file(directory, *SHOPS, *operators), livemode=False)


def complaint(directory: Path, *operators: str) -> str:
    with pytest.raises(ClientsFileError) as caught:
        loaded(directory, *operators)
    return str(caught.value)


def test_an_operator_is_found_by_its_key(tmp_path: Path) -> None:
    clients = loaded(tmp_path, operator("anna", "act"), operator("ben", "read"))
    anna, ben = (clients.operator_by_api_key(OPERATOR_KEYS[name]) for name in ("anna", "ben"))
    assert anna
    assert ben
    assert (anna.id, anna.may_act, anna.signature) == ("anna", True, "operator:anna")
    assert (ben.id, ben.may_act) == ("ben", False)
    assert clients.operator_by_api_key(OPERATOR_KEYS["anna"] + "x") is None
    assert clients.operator_by_api_key(API_KEYS["shop-a"]) is None
    assert clients.by_api_key(OPERATOR_KEYS["anna"]) is None


def test_an_operator_sees_all_orders_or_those_of_its_clients(tmp_path: Path) -> None:
    clients = loaded(
        tmp_path, operator("anna", "act"), operator("ben", "read", 'clients = ["shop-b"]')
    )
    anna, ben = clients.operators["anna"], clients.operators["ben"]
    assert all(anna.may_see(each) for each in ("shop-a", "shop-b", None))
    assert [each for each in ("shop-a", "shop-b", None) if ben.may_see(each)] == ["shop-b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (operator("anna", "admin"), "anna: role must be read or act"),
        ("[operators.anna]\nrole = 'act'", "anna: api_keys_sha256"),
        ("[operators.anna]\nrole = 'act'\napi_keys_sha256 = []", "anna: needs api_keys_sha256"),
        ("[operators.anna]\nrole = 'act'\napi_keys_sha256 = ['hunter2']", "must be the SHA-256"),
        (operator("anna", "act", 'clients = ["hunter2", "shop-z"]'), "no client of this file"),
        (operator("anna", "act", 'secret = "hunter2"'), "anna: secret is not a known entry"),
        (operator("anna", "act").split("role")[0], "anna: role"),
        ("[operators]\nanna = 1", "needs a table for each name"),
        ("[operator.anna]\nrole = 'act'", "[operators.NAME], and nothing else"),
    ],
)
def test_a_wrong_operator_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    message = complaint(tmp_path, text)
    assert message.startswith("CLIENTS_FILE: ")
    assert said in message
    assert "\n" not in message


def test_an_operator_shares_its_key_with_nobody(tmp_path: Path) -> None:
    twin = operator("anna", "act").replace("operators.anna", "operators.twin")
    assert "twin: shares a secret or an API key with anna" in complaint(
        tmp_path, operator("anna", "act"), twin
    )
    of_shop = entry("shop-a").splitlines()[2]
    both = f"[operators.anna]\n{of_shop}\nrole = 'act'"
    assert "anna: shares a secret or an API key with shop-a" in complaint(tmp_path, both)


def test_the_demo_keeps_the_operators(tmp_path: Path) -> None:
    clients = loaded(tmp_path, operator("anna", "act")).with_demo("api_demo")
    assert clients.operator_by_api_key(OPERATOR_KEYS["anna"])


def test_each_kind_of_key_opens_its_own_door_only(tmp_path: Path) -> None:
    clients = loaded(tmp_path, operator("anna", "act"))
    anna, shop = (f"Bearer {key}" for key in (OPERATOR_KEYS["anna"], API_KEYS["shop-a"]))
    assert authenticate_operator(anna, clients).operator
    assert authenticate(shop, clients, 0).client
    for header in (shop, None, "", "Basic x", anna.removeprefix("Bearer ")):
        with pytest.raises(Unauthorized):
            authenticate_operator(header, clients)
    with pytest.raises(Unauthorized):
        authenticate(anna, clients, 0)
    with pytest.raises(Unauthorized):
        authenticate_operator(anna, None)
