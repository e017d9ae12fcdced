"""The command that creates the secrets of a new client: new-client."""

from __future__ import annotations

import hashlib
import secrets

import click

from payment_service.schema.names import order_name


@click.command("new-client")
@click.argument("name")
def new_client(name: str) -> None:
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


def _entry(client_id: str, key: str) -> str:
    quoted = client_id.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'[clients."{quoted}"]\n'
        f'token_secrets = ["{secrets.token_hex(32)}"]\n'
        f'api_keys_sha256 = ["{hashlib.sha256(key.encode()).hexdigest()}"]'
    )
