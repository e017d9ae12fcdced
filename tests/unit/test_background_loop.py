"""What is done for records beside the requests, in a process that ends."""

from __future__ import annotations

import subprocess
import sys

from tests.support.sandbox_process import ROOT

# As a worker that ends: its threads answer what they have, while the chores go on beside them.
ENDING = """
import threading
from payment_service.background.loop import Courier

class Always:
    def waiting(self, limit):
        return [None] * 20

    def deliver(self, record):
        return True

chores = Courier(Always()).start()
threading.Thread(target=lambda: chores.join(5)).start()
"""


def test_a_process_that_ends_takes_up_no_more_and_says_nothing() -> None:
    command = [sys.executable, "-c", ENDING]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
