"""The commands of `flask --app stripe_back_end_api`; `payment-service` adds `serve`."""

from __future__ import annotations

import sys

import click

from payment_service import __version__
from payment_service.cli.copy_store import copy_store
from payment_service.cli.new_client import new_client
from payment_service.cli.orders import OpenService, order_commands
from payment_service.cli.serve import serve
from payment_service.payments.payments import Payments
from payment_service.settings import Settings, SettingsError, load_settings
from payment_service.telemetry.request_log import start_logging
from payment_service.wiring import configure, open_parts


@click.group()
@click.version_option(__version__, prog_name="payment-service")
def main() -> None:
    """Run the payment service and look after its orders."""


def is_serving() -> bool:
    """Whether this process serves requests instead of running a command."""
    context = click.get_current_context(silent=True)
    return context is None or context.info_name == "run"


def is_looking_for_a_command() -> bool:
    """Whether `flask` builds the app only to find or list the commands, before one runs."""
    context = click.get_current_context(silent=True)
    return context is not None and isinstance(context.command, click.Group)


def add_commands(group: click.Group, open_service: OpenService) -> None:
    """Add the commands to `group`."""
    for command in (*order_commands(open_service), copy_store, new_client):
        group.add_command(command)


def from_environment() -> tuple[Settings, Payments]:
    """Open the service with the environment's settings, or exit with a one-line error."""
    try:
        settings = load_settings()
        start_logging(settings.log_level)
        return settings, open_parts(configure(settings)).payments
    except SettingsError as wrong:
        sys.exit(str(wrong))


add_commands(main, from_environment)
main.add_command(serve)
