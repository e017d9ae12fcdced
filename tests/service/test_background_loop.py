"""The background loop in a process that exits."""

from __future__ import annotations

import subprocess
import sys

from tests.support.sandbox_process import ROOT

# Like a worker that exits: its threads finish their requests while the loop is still running.
ENDING = """
import threading
from types import SimpleNamespace
from payment_service.background.loop import JobLoop

class Always:
    def due(self, limit):
        return [SimpleNamespace(order=None)] * 20

    def run(self, record):
        return True

loop = JobLoop(Always()).start()
threading.Thread(target=lambda: loop.join(5)).start()
"""


def test_exiting_process_takes_no_more_work_and_logs_nothing() -> None:
    command = [sys.executable, "-c", ENDING]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
