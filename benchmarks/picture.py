"""An SVG bar chart of the results: the rate of each server."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.results import Result, Row

WIDTH, LABEL, BAR, LINE, HEAD = 900, 230, 400, 24, 44
OURS, OTHERS = "#635bff", "#a3acb9"

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1a1f36}.t{font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#e3e8ee}}"
)


def draw(results: Sequence[Result]) -> str:
    """Return the SVG."""
    parts, y = [], 16
    for result in results:
        parts.append(f'<text class="t" x="12" y="{y + 12}">{escape(result.title)}</text>')
        y += HEAD - 16
        fastest = max(row.rate for row in result.rows)
        for row in result.rows:
            parts.append(_bar(row, row.rate / fastest, y, result.base))
            y += LINE
        y += 20
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def _bar(row: Row, share: float, y: int, base: str) -> str:
    colour = OURS if row.server.startswith("ours") else OTHERS
    label = f"{row.rate:,.0f}/s"
    if row.server != base:
        label += f", {row.rate_ratio:.2f} of {base}"
    length = max(1, round(BAR * share))
    return (
        f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(row.server)}</text>'
        f'<rect x="{LABEL}" y="{y}" width="{length}" height="17" rx="3" fill="{colour}"/>'
        f'<text x="{LABEL + length + 8}" y="{y + 13}">{escape(label)}</text>'
    )
