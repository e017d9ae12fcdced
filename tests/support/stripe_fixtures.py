"""Stripe's published example objects (github.com/stripe/openapi, openapi/fixtures3.json).

They are not part of this repository. Without the file, the tests that compare with it are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "TEST_STRIPE_FIXTURES"


def stripe_fixture(kind: str) -> dict[str, Any]:
    """Return Stripe's example of a kind; skip the test if TEST_STRIPE_FIXTURES names no file."""
    path = os.environ.get(VARIABLE)
    if not path:
        pytest.skip(f"{VARIABLE} does not name Stripe's fixtures3.json")
    found: dict[str, Any] = json.loads(Path(path).read_text())["resources"][kind]
    return found
