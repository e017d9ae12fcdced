"""Fixtures shared by several test modules."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.support.examples import register_profiles
from tests.support.key_stores import (
    place,
    pooler,
    postgres_server,
    quick_path,
    redis_cluster,
    redis_sentinel,
    redis_server,
    server,
    store,
)
from tests.support.sandbox_process import SandboxProcess

__all__ = [
    "place",
    "pooler",
    "postgres_server",
    "quick_path",
    "redis_cluster",
    "redis_sentinel",
    "redis_server",
    "server",
    "store",
]

register_profiles()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the proofs, which take longest, so that no worker is left with them at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/proof/"))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over thousands of collected tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def runtime_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' `make run` apart from the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> SandboxProcess:
    """An empty sandbox; one process for the whole run, because a start takes 0.2 s."""
    sandbox_process.reset()
    return sandbox_process
