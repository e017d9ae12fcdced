"""The commands of `flask --app stripe_back_end_api`; `payment-service` adds `serve`."""

from __future__ import annotations

import sys

import click

from payment_service import __version__
from payment_service.cli.copy_store import copy_store
from payment_service.cli.new_client import new_client, new_operator
from payment_service.cli.opening import OpenService
from payment_service.cli.orders import deliver_command, orders_group
from payment_service.cli.reconcile import reconcile_command
from payment_service.cli.serve import serve
from payment_service.settings import SettingsError, load_settings
from payment_service.settings.development import environment_of_command
from payment_service.settings.otel import publish_otel
from payment_service.telemetry.logs import start_logging
from payment_service.wiring import Parts, configure, open_parts


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
    for command in (reconcile_command, deliver_command, orders_group):
        group.add_command(command(open_service))
    group.add_command(copy_store)
    group.add_command(new_client)
    group.add_command(new_operator)


def from_environment() -> Parts:
    """Open the service with a command's settings, or exit with a one-line error.

    They are the environment's, and those of the service that `make run` has started. Only `deliver`
    runs long enough to be scraped; another command must not take METRICS_PORT from a service that
    starts meanwhile.
    """
    try:
        settings = load_settings(environment_of_command())
        publish_otel()
        start_logging(settings.log_level)
        counts = click.get_current_context().info_name == "deliver"
        return open_parts(configure(settings), counts=counts)
    except SettingsError as wrong:
        sys.exit(str(wrong))


add_commands(main, from_environment)
main.add_command(serve)
