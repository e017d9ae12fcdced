"""new-client and new-operator: the entries that they print are accepted by the service."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from payment_service.access.clients import load_clients
from payment_service.cli.new_client import new_client, new_operator


def created(name: str) -> Result:
    return CliRunner().invoke(new_client, [name])


def test_a_printed_entry_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    name = 'a "shop" \\ é'
    path.write_text(created(name).stdout, "utf-8")
    assert load_clients(path, livemode=False).get(name)


def test_an_entry_for_a_page_and_a_listener_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    options = ["--origin", "http://127.0.0.1:5000", "--order-events-url", "http://127.0.0.1:5000/x"]
    path.write_text(CliRunner().invoke(new_client, ["shop-a", *options]).stdout, "utf-8")
    client = load_clients(path, livemode=False).get("shop-a")
    assert client
    assert (client.origins, client.order_events_url) == (
        *(["http://127.0.0.1:5000"], "http://127.0.0.1:5000/x"),
    )
    assert client.order_events_secret
    assert client.order_events_secret.get_secret_value().startswith("whsec_")


@pytest.mark.parametrize(
    "option",
    [
        ["--origin", "nonsense"],
        ["--origin", "https://shop.example/path"],
        ["--order-events-url", "ftp://shop.example"],
    ],
)
def test_an_entry_that_the_service_would_refuse_is_not_printed(option: list[str]) -> None:
    result = CliRunner().invoke(new_client, ["shop-a", *option])
    assert (result.exit_code, result.stdout) == (2, "")
    assert option[0] in result.stderr


@pytest.mark.parametrize("name", ["", " ", "shop\na", "x" * 201])
def test_an_invalid_name_gets_no_entry(name: str) -> None:
    result = created(name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: The name must ")
    assert len(result.stderr.splitlines()) == 1


def test_a_printed_operator_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    reader = CliRunner().invoke(new_operator, ["ben", "--client", "shop-a"]).stdout
    actor = CliRunner().invoke(new_operator, ["anna é", "--act"]).stdout
    path.write_text(f"{created('shop-a').stdout}\n{reader}\n{actor}", "utf-8")
    clients = load_clients(path, livemode=False)
    keys = [line.rpartition(" ")[2] for line in f"{reader}{actor}".splitlines() if "#" in line]
    ben, anna = (clients.operator_by_api_key(key) for key in keys)
    assert ben
    assert anna
    assert (ben.id, ben.role, ben.clients) == ("ben", "read", ["shop-a"])
    assert (anna.id, anna.role, anna.clients) == ("anna é", "act", None)


@pytest.mark.parametrize("arguments", [[" "], ["anna", "--client", "shop\na"]])
def test_an_invalid_operator_gets_no_key(arguments: list[str]) -> None:
    result = CliRunner().invoke(new_operator, arguments)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "operator_" not in result.stdout
