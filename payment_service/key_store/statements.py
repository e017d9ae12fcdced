"""Loads the SQL and Lua statements: one file per operation, in the folder of its store."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent


def statement(store: str, name: str) -> str:
    """Read a statement, for example `statement("redis", "claim.lua")`."""
    return (HERE / store / name).read_text(encoding="utf-8")
