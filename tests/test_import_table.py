"""Which module may import what: the house's layout, held against the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What only these may import; an address that ends with a dot stands for all beneath it.
ONLY = {
    "flask": {"stripe_back_end_api", "web."},
    "flask_cors": {"web.front_door"},
    "flask_limiter": {"web.rates"},
    "werkzeug": {"stripe_back_end_api", "web."},
    "click": {"order_commands"},
    "stripe": {
        "stripe_payment",
        "stripe_gateway",
        "stripe_sdk",
        "stripe_send",
        "stripe_transport",
        "stripe_retry",
    },
    "requests": {"stripe_transport", "stripe_connection", "order_events"},
    "urllib3": {"stripe_transport", "stripe_connection"},
    "gunicorn": {"gunicorn.conf", "web_exchange", "web_request", "web_worker"},
    "psycopg": {"key_store."},
    "psycopg_pool": {"key_store."},
    "redis": {"key_store."},
    "sqlite3": {"key_store."},
    "jwt": {"access.tokens"},
    "cryptography": {"access.keys"},
    "prometheus_client": {"metrics."},
    "tenacity": {"stripe_retry"},
    "dotenv": {"settings"},
    "msgspec": {
        "field_rules",
        "settings",
        "payment.request",
        "payment.order_requests",
        "access.clients",
        "api_description.",
        "stripe_sdk",
        "stripe_webhook",
    },
}

# Loaded by who needs them only: they cost every start, and memory in every process.
LAZY = {"psycopg", "psycopg_pool", "redis", "sqlite3", "prometheus_client", "jwt", "cryptography"}
LAZY |= {"flask_cors", "flask_limiter", "limits"}

# Each floor may look at those beneath it, and at itself.
FLOORS = [
    {"secret_text"},
    {"field_rules"},
    {"key_store"},
    {"setting_checks"},
    {"settings"},
    {"payment"},
    {"stripe_paths"},
    {"access", "telemetry", "live_money", "metrics", "stripe_retry", "stripe_sdk", "stripe_send"},
    {"stripe_gateway", "stripe_pages", "stripe_connection", "stripe_transport", "stripe_webhook"},
    {"api_description", "checkout"},
    {"stripe_payment"},
    {"order_events"},
    {"order_commands"},
    {"wiring"},
    {"web"},
    {"stripe_back_end_api"},
    {"web_exchange", "web_request"},
    {"web_worker", "web_reload"},
    {"gunicorn"},
]
OURS = set().union(*FLOORS)

# By type only, or from within a function: no import while the module is loaded.
UPWARD = {("telemetry", "stripe_send")}

NEVER = ("sandbox", "tests", "benchmarks")


def modules() -> dict[str, ast.Module]:
    """Every module of the service, by its dotted name."""
    paths = list(ROOT.glob("*.py"))
    for package in OURS:
        paths += (ROOT / package).rglob("*.py")
    named = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in paths}
    return {
        name.removesuffix(".__init__"): ast.parse(path.read_text()) for name, path in named.items()
    }


MODULES = modules()


def imports(tree: ast.AST, *, top_level: bool = False) -> Iterator[str]:
    """The dotted names that are imported; `top_level`: while the module is loaded, for real."""
    nodes = _loaded(tree) if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _loaded(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if not isinstance(node, ast.FunctionDef):
            yield node
            yield from _loaded(node)


def allowed(module: str, within: set[str]) -> bool:
    return any(module == each or (each[-1] == "." and module.startswith(each)) for each in within)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_library_is_imported_by_those_only_who_are_about_it(module: str) -> None:
    for name in imports(MODULES[module]):
        library = name.partition(".")[0]
        if library in ONLY:
            assert allowed(module, ONLY[library]), f"{module} imports {library}"


def test_drivers_and_extensions_are_loaded_when_they_are_needed() -> None:
    build = (
        "import sys, settings, stripe_back_end_api as api;"
        "api.create_app(settings.load_settings({'STRIPE_SECRET_KEY': 'sk_test_abc'}));"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    assert "flask" in loaded
    assert not loaded & LAZY


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    mine = _floor(module)
    for name in imports(MODULES[module], top_level=True):
        assert name.partition(".")[0] not in NEVER, f"{module} imports {name}"
        theirs = None if name.startswith("gunicorn") else _floor(name)
        if theirs is not None:
            assert mine is not None, f"{module} is on no floor"
            assert theirs <= mine, f"{module} looks up to {name}"


def _floor(module: str) -> int | None:
    package = module.partition(".")[0]
    return next((level for level, names in enumerate(FLOORS) if package in names), None)


def test_only_the_settings_read_the_environment() -> None:
    for module, tree in MODULES.items():
        text = ast.unparse(tree)
        if "os.environ" in text or "getenv" in text:
            assert module in {"settings", "gunicorn.conf"}, module


def test_importing_the_service_does_no_work() -> None:
    assert "stripe_back_end_api" in MODULES
    for node in MODULES["stripe_back_end_api"].body:
        assert not isinstance(node, ast.For | ast.While | ast.With | ast.Try)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)


def test_the_table_names_no_library_of_python_by_mistake() -> None:
    assert not (set(ONLY) - {"sqlite3"}) & set(sys.stdlib_module_names)
