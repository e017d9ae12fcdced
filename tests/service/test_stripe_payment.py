"""The helper functions in processes of their own."""

from __future__ import annotations

import subprocess
import sys

from stripe_payment import generate_idempotency_key


def test_order_has_the_same_key_in_every_process() -> None:
    code = "from stripe_payment import generate_idempotency_key as k; print(k('A-1', 'shop'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == generate_idempotency_key("A-1", "shop")
