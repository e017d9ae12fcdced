"""Medians over the rounds, ratios within each round, and their table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.load import Load

# A ratio below this share of the written one is a regression. Rounds of one run differ by less.
TOLERANCE = 0.85


@dataclass(frozen=True, slots=True)
class Row:
    """One server: the medians over its rounds, and of its ratios to the base."""

    server: str
    rate: float
    p50: float
    p99: float
    cpu_ms: float
    failed: int
    rate_ratio: float
    p50_ratio: float
    first_answer_seconds: float
    worker_mb: float


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario."""

    name: str
    title: str
    base: str
    rows: tuple[Row, ...]


def summarize(name: str, title: str, base: str, rounds: Sequence[Mapping[str, Load]]) -> Result:
    """Aggregate the rounds of a scenario."""
    return Result(name, title, base, tuple(_row(each, base, rounds) for each in rounds[0]))


def _row(server: str, base: str, rounds: Sequence[Mapping[str, Load]]) -> Row:
    loads = [each[server] for each in rounds]
    return Row(
        server=server,
        rate=median(load.rate for load in loads),
        p50=median(load.p50 for load in loads),
        p99=median(load.p99 for load in loads),
        cpu_ms=median(load.cpu_ms for load in loads),
        failed=sum(load.failed for load in loads),
        rate_ratio=median(each[server].rate / max(each[base].rate, 1e-9) for each in rounds),
        p50_ratio=median(each[server].p50 / max(each[base].p50, 1e-9) for each in rounds),
        first_answer_seconds=median(load.first_answer_seconds for load in loads),
        worker_mb=median(load.worker_mb for load in loads),
    )


def table(results: Sequence[Result]) -> str:
    """Return Markdown tables of all scenarios."""
    return "\n".join(_section(result) for result in results)


def _section(result: Result) -> str:
    lines = [
        f"## {result.title}",
        "",
        f"| server | answers/s | of {result.base} | p50 ms | of {result.base} | p99 ms "
        "| server CPU ms each | failed | first answer s | MB a worker |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*lines, *(_line(row) for row in result.rows), ""])


def _line(row: Row) -> str:
    return (
        f"| {row.server} | {row.rate:,.0f} | {row.rate_ratio:.2f} | {row.p50:.1f} "
        f"| {row.p50_ratio:.2f} | {row.p99:.0f} | {row.cpu_ms:.2f} | {row.failed} "
        f"| {row.first_answer_seconds:.2f} | {row.worker_mb:.0f} |"
    )


def check(results: Sequence[Result], kept: Sequence[Mapping[str, Any]]) -> int:
    """Report regressions of our ratios on stderr; return 1 if there are any, else 0."""
    before = {
        (each["name"], row["server"]): row["rate_ratio"] for each in kept for row in each["rows"]
    }
    worse = 0
    for result in results:
        for row in result.rows:
            then = before.get((result.name, row.server))
            if row.server.startswith("ours") and then and row.rate_ratio < then * TOLERANCE:
                worse += 1
                sys.stderr.write(
                    f"{result.name}: {row.server}: {row.rate_ratio:.2f} of {result.base}, "
                    f"was {then:.2f}\n"
                )
    return min(worse, 1)
