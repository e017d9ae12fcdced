"""The command that copies all records to another key store: copy-store."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from payment_service.key_store import open_key_store, validate_url
from payment_service.key_store.contract import KeyStore, Order, StoreUnavailable
from payment_service.key_store.copy import Copied, copy

# The error message names at most this many of the orders whose records differ.
NAMED = 5


@click.command("copy-store")
@click.argument("source", metavar="FROM", envvar="COPY_FROM")
@click.argument("target", metavar="TO", envvar="COPY_TO")
@click.option("--overwrite", is_flag=True, help="Where records differ, take FROM's: TO is unused.")
def copy_store(source: str, target: str, overwrite: bool) -> None:
    """Copy every record from one key store to another.

    FROM is KEY_STORE_URL until now, TO the one from now on. Stop the service first. If the copy is
    interrupted, run it again: it leaves alone what TO already has. Exit code 1: records differ.

    Every user of the machine sees a command's arguments: give URLs with a password as COPY_FROM and
    COPY_TO in the environment.
    """
    # The command itself reports a failure; the service repeats a store's warnings at its start.
    logging.getLogger("payment_service.key_store").setLevel(logging.CRITICAL)
    done = _copy_between(_source(source), _checked("TO", target), overwrite=overwrite)
    click.echo(f"{done.copied} records copied, {done.already_there} were there already")
    if done.differing:
        raise click.ClickException(_differing(done.differing))


def _copy_between(source_url: str, target_url: str, *, overwrite: bool) -> Copied:
    with (
        closing(open_key_store(source_url)) as source,
        closing(open_key_store(target_url)) as target,
    ):
        _ping("FROM", source)
        _ping("TO", target)
        try:
            return copy(source, target, overwrite=overwrite)
        except StoreUnavailable as wrong:
            raise click.ClickException(f"Interrupted, run it again: {wrong}") from wrong


def _ping(name: str, store: KeyStore) -> None:
    try:
        store.ping()
    except StoreUnavailable as wrong:
        raise click.ClickException(f"{name}: {wrong}") from wrong


def _source(given: str) -> str:
    url = _checked("FROM", given)
    if url.startswith("sqlite:") and not Path(url.removeprefix("sqlite:///")).exists():
        raise click.ClickException("FROM: there is no such SQLite file")
    return url


def _checked(name: str, given: str) -> str:
    try:
        url = validate_url(given)
    except ValueError as wrong:
        raise click.ClickException(f"{name}: {wrong}") from None
    if url.startswith("memory:"):
        raise click.ClickException(f"{name}: only the running service can read memory://")
    return url


def _differing(orders: Sequence[Order]) -> str:
    named = ", ".join(repr(each.order_id) for each in orders[:NAMED])
    more = ", ..." if len(orders) > NAMED else ""
    return (
        f"{len(orders)} records are not the same in TO ({named}{more}): one of the two has served "
        "since they were carried over. Do not start with TO: where it was FROM that served, copy "
        "again with --overwrite"
    )
