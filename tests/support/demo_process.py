"""The demo as `make run` starts it, on free ports: sandboxes, service, the tutorial's code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Self

import requests

from tests.support.paypal_process import PayPalProcess
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import free_port


class DemoProcess:
    """A context manager that runs every process behind the demo's pages."""

    def __init__(self, **environ: str) -> None:
        self._environ = environ
        self.sandbox, self.paypal = SandboxProcess(), PayPalProcess()
        self.url = ""
        self.origins: tuple[str, ...] = ()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        port, sandbox_port = free_port(), free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dev.run", "--sandbox-port", str(sandbox_port)],
            cwd=ROOT,
            env={**os.environ, "STRIPE_SECRET_KEY": "", "PORT": str(port), **self._environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._wait()
        self.url = f"http://127.0.0.1:{port}"
        self.sandbox.url = f"http://127.0.0.1:{sandbox_port}"
        stage, self.paypal.url = self._named("stage"), self._named("paypal")
        self.origins = (self.url, self.sandbox.url, self.paypal.url, stage)
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.close()
        self.paypal.close()
        assert self._process
        self._process.terminate()
        self._process.communicate(timeout=30)

    def _wait(self) -> None:
        assert self._process
        assert self._process.stdout
        if not any(line.startswith("curl ") for line in self._process.stdout):
            raise RuntimeError("the demo did not start")

    def _named(self, what: str) -> str:
        """Return the address of another server, from the page that uses it."""
        page = requests.get(f"{self.url}/demo/faults", timeout=10).text
        found = re.search(rf'data-{what}="([^"]+)"', page)
        assert found
        return found[1]
