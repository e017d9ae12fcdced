"""The commands that create secrets for the clients file: new-client and new-operator."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any

import click

from payment_service.schema.names import order_name
from payment_service.settings.checks import listener_url
from payment_service.settings.checks import origin as origin_of_pages


def _checked_by(
    check: Callable[[str], str],
) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Return a callback that applies the rule of a field of the clients file."""

    def checked(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        try:
            return None if value is None else check(value)
        except ValueError as wrong:
            raise click.BadParameter(str(wrong)) from None

    return checked


@click.command("new-client")
@click.argument("name")
@click.option(
    "--origin",
    callback=_checked_by(origin_of_pages),
    help="The origin of the shop's pages, which may then call (CORS).",
)
@click.option(
    "--order-events-url",
    callback=_checked_by(listener_url),
    help="Where the shop hears order events; creates their secret.",
)
def new_client(name: str, origin: str | None, order_events_url: str | None) -> None:
    """Create the secrets of a client, and print its entry for the clients file.

    NAME is the client's id, as in `client_id`. The API key is stored nowhere and shown only once.
    """
    client_id, key = _checked(name), _new_key("api")
    click.echo(f"# The API key, for the shop's server; it is shown only now: {key}")
    click.echo(f"[clients.{_quoted(client_id)}]")
    click.echo(f'token_secrets = ["{secrets.token_hex(32)}"]')
    click.echo(_digests(key))
    if origin is not None:
        click.echo(f"origins = [{_quoted(origin)}]")
    if order_events_url is not None:
        click.echo(f"order_events_url = {_quoted(order_events_url)}")
        click.echo(f'order_events_secret = "whsec_{secrets.token_hex(32)}"')


@click.command("new-operator")
@click.argument("name")
@click.option(
    "--act",
    is_flag=True,
    help="May also cancel, capture, refund and resolve orders.",
)
@click.option(
    "--client", "clients", multiple=True, help="Sees only this client's orders; repeatable."
)
def new_operator(name: str, act: bool, clients: tuple[str, ...]) -> None:
    """Create the key of an operator, and print its entry for the clients file.

    The history of each order that the operator changes has this NAME. The key logs in at
    /operator. It is stored nowhere and shown only once.
    """
    operator, key = _checked(name), _new_key("operator")
    listed = ", ".join(_quoted(_checked(each)) for each in clients)
    click.echo(f"# The operator's key, for /operator; it is shown only now: {key}")
    click.echo(f"[operators.{_quoted(operator)}]")
    click.echo(_digests(key))
    click.echo(f'role = "{"act" if act else "read"}"')
    if clients:
        click.echo(f"clients = [{listed}]")


def _checked(name: str) -> str:
    try:
        return order_name(name)
    except ValueError as wrong:
        raise click.ClickException(f"The name {wrong}") from None


def _new_key(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(32)}"


def _digests(key: str) -> str:
    return f'api_keys_sha256 = ["{hashlib.sha256(key.encode()).hexdigest()}"]'


def _quoted(text: str) -> str:
    """Return a text as TOML; a JSON text is one, if it is printable."""
    return json.dumps(text, ensure_ascii=False)
