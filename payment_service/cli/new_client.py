"""The command that creates the secrets of a new client: new-client."""

from __future__ import annotations

import hashlib
import json
import secrets

import click

from payment_service.schema.names import order_name


@click.command("new-client")
@click.argument("name")
@click.option("--origin", help="The origin of the shop's pages, which may then call (CORS).")
@click.option("--order-events-url", help="Where the shop hears order events; creates their secret.")
def new_client(name: str, origin: str | None, order_events_url: str | None) -> None:
    """Create the secrets of a client, and print its entry for the clients file.

    NAME is the client's id, as in `client_id`. The API key is stored nowhere and shown only once.
    """
    try:
        client_id = order_name(name)
    except ValueError as wrong:
        raise click.ClickException(f"The name {wrong}") from None
    key = f"api_{secrets.token_hex(32)}"
    click.echo(f"# The API key, for the shop's server; it is shown only now: {key}")
    click.echo(_entry(client_id, key))
    if origin is not None:
        click.echo(f"origins = [{_quoted(origin)}]")
    if order_events_url is not None:
        click.echo(f"order_events_url = {_quoted(order_events_url)}")
        click.echo(f'order_events_secret = "whsec_{secrets.token_hex(32)}"')


def _entry(client_id: str, key: str) -> str:
    return (
        f"[clients.{_quoted(client_id)}]\n"
        f'token_secrets = ["{secrets.token_hex(32)}"]\n'
        f'api_keys_sha256 = ["{hashlib.sha256(key.encode()).hexdigest()}"]'
    )


def _quoted(text: str) -> str:
    """Return a text as TOML; a JSON text is one, if it is printable."""
    return json.dumps(text, ensure_ascii=False)
