"""The command that repairs what a crash or a lost webhook left behind: reconcile."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from payment_service.cli.opening import OpenService, instant, opened, plain_errors

if TYPE_CHECKING:
    from payment_service.payments.recovery.reconcile import Tally

# Stripe retries a webhook for three days. The operator may then return only after a weekend.
DEFAULT_SINCE = "7d"

TWO_PAID_EXIT, UNRESOLVED_EXIT = 2, 1

log = logging.getLogger("payments")


def reconcile_command(open_service: OpenService) -> click.Command:
    """Return the command, which calls `open_service` when it runs."""

    @click.command("reconcile")
    @click.option(
        "--since",
        default=DEFAULT_SINCE,
        callback=instant,
        help="30m, 12h, 7d, or a day: 2026-11-01.",
    )
    @click.option("--dry-run", is_flag=True, help="Change nothing.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @click.option(
        "--restored",
        is_flag=True,
        help="After a backup: record lost orders that are not paid, too.",
    )
    @click.option(
        "--metrics-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the numbers to this .prom file, for node_exporter's textfile collector.",
    )
    def reconcile(
        since: float, dry_run: bool, as_json: bool, restored: bool, metrics_file: Path | None
    ) -> None:
        """Repair what a crash or a lost webhook left behind.

        Logs one line, `reconciled`, on level ERROR if a person must look. Exit code 2: an order
        was paid twice. 1: an order could not be resolved.
        """
        from payment_service.payments.recovery.reconcile import Reconciler, Tally

        parts = opened(open_service)
        works = [
            Reconciler(
                context,
                livemode=parts.settings.livemode,
                budget_seconds=parts.settings.request_budget_seconds,
                dry_run=dry_run,
                restored=restored,
                of_client=of_client,
            )
            for context, of_client in parts.payments.accounts()
        ]
        with plain_errors():
            _walk(chain.from_iterable(work.steps(since) for work in works))
        tally = sum((work.tally for work in works), Tally())
        log.log(_level(tally), "reconciled", extra={"dry_run": dry_run, **tally.shown()})
        if metrics_file is not None:
            _write(metrics_file, tally)
        click.echo(json.dumps(tally.shown()) if as_json else _table(tally))
        sys.exit(_exit_code(tally))

    return reconcile


def _walk(steps: Iterable[object]) -> None:
    """Consume all steps, with a progress bar if stderr is a terminal.

    Raises what breaks it off, and logs that: cron may throw away what a command prints.
    """
    try:
        if not sys.stderr.isatty():
            for _ in steps:
                pass
            return
        with click.progressbar(steps, label="orders", show_pos=True, file=sys.stderr) as bar:
            for _ in bar:
                pass
    except Exception as failed:
        log.error("reconcile_failed", extra={"reason": f"{type(failed).__name__}: {failed}"})  # noqa: TRY400
        raise


def _level(tally: Tally) -> int:
    if tally.alarms:
        return logging.ERROR
    return logging.WARNING if tally.unresolved else logging.INFO


def _write(path: Path, tally: Tally) -> None:
    from payment_service.telemetry.metrics.reconcile_file import write

    try:
        write(path, {name: n for name, n in tally.shown().items() if isinstance(n, int)})
    except OSError as wrong:
        raise click.ClickException(f"--metrics-file cannot be written: {wrong.strerror}") from wrong


def _table(tally: Tally) -> str:
    counts = {name: count for name, count in tally.shown().items() if name != "alarms"}
    rows = [f"{name.replace('_', ' '):<14}{count:>8}" for name, count in counts.items()]
    return "\n".join([*rows, *(f"ALARM {each}" for each in tally.alarms)])


def _exit_code(tally: Tally) -> int:
    if tally.two_paid:
        return TWO_PAID_EXIT
    return UNRESOLVED_EXIT if tally.unresolved else 0
