"""A hostile field name costs a worker little CPU time."""

from __future__ import annotations

import psutil
import pytest

from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess


@pytest.mark.parametrize("name", ["-eyJ" * 8_000 + "." + "-eyJ" * 6_000, "a@" * 30_000])
def test_hostile_field_name_does_not_block_a_worker(sandbox: SandboxProcess, name: str) -> None:
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}) as service:
        service.create("A-0")
        worker = psutil.Process(service.workers()[0])
        before = sum(worker.cpu_times()[:2])
        answer = service.post("/create-payment-intent", {name: 1, "order_id": "A", "amount": 1})
        assert answer.status_code == 400
        assert sum(worker.cpu_times()[:2]) - before < 0.5
