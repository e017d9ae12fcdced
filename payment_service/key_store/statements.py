"""SQL and Lua in files of their own, beside their store: a file per operation."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent


def statement(store: str, name: str) -> str:
    """Read a statement, say `statement("redis", "claim.lua")`."""
    return (HERE / store / name).read_text(encoding="utf-8")
