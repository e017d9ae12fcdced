"""The demo as `make run` starts it, on free ports: sandbox, service, the tutorial's code."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Self

from tests.sandbox_process import ROOT, SandboxProcess
from tests.service_process import ServiceProcess, free_port

START_SECONDS = 20.0


class DemoProcess:
    """Everything that the demo's pages talk to; a context manager starts and ends it."""

    def __init__(self) -> None:
        self.sandbox = SandboxProcess()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.sandbox)
        port = free_port()
        stage_url = f"http://127.0.0.1:{port}"
        # One worker: the memory store knows one process, and a day passes in the demo.
        environ = {"DEMO_STAGE_URL": stage_url, "WEB_CONCURRENCY": "1"}
        self.service = self._stack.enter_context(ServiceProcess(self.sandbox.url, environ))
        self._stack.callback(_end, self._start_stage(port))
        self.origins = (self.service.url, self.sandbox.url, stage_url)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_stage(self, port: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sandbox.tutorial", "--port", str(port)),
                *("--sandbox-url", self.sandbox.url),
                *("--page-port", str(self.service.port)),
                *("--service-pid", str(self.service.pid)),
            ],
            cwd=ROOT,
        )
        _wait_for(port)
        return process


def _wait_for(port: int) -> None:
    patience = time.monotonic() + START_SECONDS
    while time.monotonic() < patience:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the tutorial's server did not start")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=30)
