"""`python -m payment_service.access NAME`: make the secrets of a new client, and show its entry of
the file."""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys

from payment_service.schema.names import order_name


def main() -> None:
    """Print the entry, and the API key, which is kept nowhere."""
    parser = argparse.ArgumentParser(prog="python -m payment_service.access", description=__doc__)
    parser.add_argument("name", help="the client's id, as in client_id")
    try:
        given = order_name(parser.parse_args().name)
    except ValueError as wrong:
        sys.exit(f"The name {wrong}")
    name = given.replace("\\", "\\\\").replace('"', '\\"')
    key = f"api_{secrets.token_hex(32)}"
    print(f"# The API key, for the shop's server; it is shown only now: {key}")  # noqa: T201
    print(  # noqa: T201
        f'[clients."{name}"]\n'
        f'token_secrets = ["{secrets.token_hex(32)}"]\n'
        f'api_keys_sha256 = ["{hashlib.sha256(key.encode()).hexdigest()}"]'
    )


if __name__ == "__main__":
    main()
