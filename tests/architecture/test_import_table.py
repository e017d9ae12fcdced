"""The import rules between modules and packages, checked against the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGE = "payment_service"

# Only these modules may import the library. A name that ends with a dot means the whole package.
# Our own modules are named without `payment_service`.
ONLY = {
    "flask": {"stripe_back_end_api", "web."},
    "flask_cors": {"web.access_control"},
    "flask_limiter": {"web.rate_limits"},
    "werkzeug": {"stripe_back_end_api", "web."},
    "click": {"cli."},
    "stripe": {"stripe_payment", "gateways.stripe."},
    "requests": {"gateways.stripe.http.", "background.start"},
    "urllib3": {"gateways.stripe.http."},
    "gunicorn": {"gunicorn.conf", "server."},
    "psycopg": {"key_store.postgres."},
    "psycopg_pool": {"key_store.postgres."},
    "redis": {"key_store.redis."},
    "sqlite3": {"key_store.sqlite."},
    "jwt": {"access.tokens"},
    "cryptography": {"access.keys"},
    "prometheus_client": {"telemetry.metrics."},
    "tenacity": {"gateways.stripe.retry"},
    "dotenv": {"settings"},
    "msgspec": {
        "schema.fields",
        "settings",
        "payments.request.create",
        "payments.request.existing_order",
        "access.clients",
        "web.openapi.",
        "gateways.stripe.api_calls",
        "gateways.stripe.webhook",
    },
}

# Imported only where needed: they cost start-up time, and memory in every process.
LAZY = {"psycopg", "psycopg_pool", "redis", "sqlite3", "prometheus_client", "jwt", "cryptography"}
LAZY |= {"flask_cors", "flask_limiter", "limits"}

# Each floor may import the floors above it in this list, and itself. The longest matching name
# decides a module's floor.
FLOORS = [
    {"schema.secret"},
    {"schema.fields", "errors"},
    {"key_store.contract"},
    {"key_store"},
    {"settings.checks"},
    {"settings"},
    # It defines the sent parameters, which are an argument of a gateway.
    {"payments.idempotency_key"},
    {"gateways.deadline", "gateways.intent"},
    {"gateways"},
    # It searches for due records, and the rules use that search too.
    {"background.loop"},
    {"gateways.stripe.http.response", "gateways.stripe.http.resolver"},
    {"gateways.stripe.http"},
    {"gateways.stripe.paths"},
    {"gateways.stripe.retry", "gateways.stripe.api_calls"},
    {"gateways.stripe"},
    {"payments.request", "payments.observer", "payments.record"},
    {"payments.shop_events"},
    {"payments.context"},
    {"payments.creation"},
    {"payments.recovery.strays"},
    {"payments.changes"},
    {"payments.recovery"},
    {"payments"},
    {"access", "telemetry", "background"},
    # It builds the events of `payments.changes`, and reads the clients' secrets.
    {"gateways.stripe.webhook"},
    {"stripe_payment"},
    {"checkout", "cli", "wiring"},
    {"web"},
    {"stripe_back_end_api"},
    {"server.exchange", "server.request_head"},
    {"server"},
    {"gunicorn.conf"},
]

NEVER = ("sandbox", "dev", "tests", "benchmarks")


def modules() -> dict[str, ast.Module]:
    """Return every module of the service by its dotted name within the package."""
    paths = [*ROOT.glob("*.py"), *(ROOT / PACKAGE).rglob("*.py")]
    named = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in paths}
    return {_short(name): ast.parse(path.read_text()) for name, path in named.items()}


def _short(name: str) -> str:
    return name.removesuffix(".__init__").removeprefix(f"{PACKAGE}.")


MODULES = modules()


def imports(tree: ast.AST, *, top_level: bool = False) -> Iterator[str]:
    """Yield the imported dotted names; `top_level`: only those imported at load time."""
    nodes = _loaded(tree) if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (_short(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                member = _short(f"{node.module}.{alias.name}")
                yield member if member in MODULES else _short(node.module)


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
def test_libraries_are_imported_only_where_allowed(module: str) -> None:
    for name in imports(MODULES[module]):
        library = name.partition(".")[0]
        if library in ONLY:
            assert allowed(module, ONLY[library]), f"{module} imports {library}"


def test_drivers_and_extensions_are_loaded_lazily() -> None:
    build = (
        "import sys, stripe_back_end_api as api;"
        "from payment_service.settings import load_settings;"
        "api.create_app(load_settings({'STRIPE_SECRET_KEY': 'sk_test_abc'}));"
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
        if name in MODULES:
            assert _floor(name) <= mine, f"{module} looks up to {name}"


def _floor(module: str) -> int:
    """Return a module's floor; an empty __init__ is on the floor of its package."""
    if module == PACKAGE:
        return 0
    fitting = {
        name: level
        for level, names in enumerate(FLOORS)
        for name in names
        if f"{module}.".startswith(f"{name}.")
    }
    if not fitting and _is_empty(MODULES[module]):
        return 0
    assert fitting, f"{module} is on no floor"
    return fitting[max(fitting, key=len)]


def _is_empty(tree: ast.Module) -> bool:
    return all(isinstance(node, ast.Expr) for node in tree.body)


def test_every_name_in_the_tables_is_a_module() -> None:
    named = set().union(*FLOORS, *ONLY.values())
    known = [f"{module}." for module in MODULES]
    unknown = {
        name for name in named if not any(each.startswith(f"{name.rstrip('.')}.") for each in known)
    }
    assert unknown == set()


def test_imports_have_no_cycles() -> None:
    left = {
        module: {name for name in imports(tree, top_level=True) if name in MODULES} - {module}
        for module, tree in MODULES.items()
    }
    while free := {module for module, needed in left.items() if not needed & left.keys()}:
        left = {module: needed for module, needed in left.items() if module not in free}
    assert left == {}


def test_only_settings_read_the_environment() -> None:
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


def test_table_names_no_standard_library_module() -> None:
    assert not (set(ONLY) - {"sqlite3"}) & set(sys.stdlib_module_names)
