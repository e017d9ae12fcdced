"""The import table: the modules that each module may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGE = "payment_service"

# What only these may import; an address that ends with a dot stands for all beneath it. Ours are
# named without the package.
ONLY = {
    "flask": {"stripe_back_end_api", "web."},
    "flask_cors": {"web.access_control"},
    "flask_limiter": {"web.rate_limits"},
    "werkzeug": {"stripe_back_end_api", "web."},
    "click": {"cli."},
    "stripe": {"stripe_payment", "gateways.stripe."},
    "pycurl": {"http_client."},
    "certifi": {"http_client."},
    "requests": {"http_client.mocks"},
    "gunicorn": {"server."},
    "psycopg": {"key_store.postgres."},
    "psycopg_pool": {"key_store.postgres."},
    "redis": {"key_store.redis."},
    "sqlite3": {"key_store.sqlite."},
    "jwt": {"access.tokens"},
    "cryptography": {"access.keys", "gateways.paypal.certificates"},
    "prometheus_client": {"telemetry.metrics."},
    "opentelemetry": {"telemetry.tracing."},
    "dotenv": {"settings.environment"},
    "msgspec": {
        "schema.fields",
        "settings.development",
        "gateways.stripe.api_calls",
        "gateways.stripe.webhook",
        "web.openapi.",
    },
}

# Every module may make its values with these: docs/decisions/0013-structs.md. The table above is
# for what reads JSON and checks input.
VALUES = {"msgspec.Struct", "msgspec.field", "msgspec.structs"}

# Loaded by who needs them only: they cost every start, and memory in every process.
LAZY = {"psycopg", "psycopg_pool", "redis", "sqlite3", "prometheus_client", "jwt", "cryptography"}
LAZY |= {"flask_cors", "flask_limiter", "limits", "opentelemetry"}

# Each floor may look at those beneath it, and at itself. The longest name that fits a module
# says on which floor it is.
FLOORS = [
    {"schema.secret", "schema.names", "schema.gateway_names"},
    {"schema.fields", "errors"},
    {"key_store.contract", "outage"},
    {"key_store"},
    {"settings.checks", "settings.credentials"},
    {"settings.environment", "settings.unknown_names", "settings.rules"},
    {"settings.development"},
    {"settings"},
    {"http_client"},
    {"gateways.deadline", "gateways.intent", "gateways.sent_params", "gateways.send_report"},
    {
        "gateways.order_metadata",
        "gateways.facts",
        "gateways.charge",
        "gateways.dispute",
        "gateways.refund",
    },
    {
        "gateways.event",
        "gateways.event_json",
        "gateways.outcome",
        "gateways.payment_fields",
        "gateways.retry_after",
    },
    {"gateways.capture_outcome", "gateways.key_check"},
    {"gateways.contract"},
    {"gateways.calls", "gateways.retry"},
    {"gateways.send"},
    {"gateways.stripe.intents", "gateways.stripe.facts", "gateways.stripe.verdicts"},
    {"gateways.stripe.paths", "gateways.stripe.events", "gateways.stripe.money"},
    {"gateways.stripe.create_params", "gateways.stripe.request_rules"},
    {"gateways.stripe.money_events"},
    {"gateways.stripe.api_calls"},
    {"gateways.stripe.errors", "gateways.stripe.lists", "gateways.stripe.webhook"},
    {"gateways.stripe"},
    {"gateways.paypal.facts", "gateways.paypal.amounts", "gateways.paypal.names"},
    {"gateways.paypal.params", "gateways.paypal.paths", "gateways.paypal.orders"},
    {"gateways.paypal.verdicts", "gateways.paypal.issues", "gateways.paypal.certificates"},
    {"gateways.paypal.api_calls", "gateways.paypal.events"},
    {"gateways.paypal.errors", "gateways.paypal.tokens", "gateways.paypal.webhook"},
    {"gateways.paypal.captures"},
    {"gateways.paypal"},
    {"payments.idempotency_key", "payments.observer", "payments.request", "payments.store_errors"},
    {"payments.circuits"},
    {"payments.failover"},
    {"payments.record"},
    {"payments.shop_events.catalogue"},
    {"payments.context"},
    {"payments.polling"},
    {"payments.shop_events"},
    {"payments.creation", "payments.gated"},
    {"payments.recovery.strays", "payments.recovery.lost_records"},
    {"payments.changes", "payments.after_payment"},
    {"payments.recovery"},
    {"payments.payments"},
    {"stripe_payment"},
    {"access", "telemetry", "background"},
    {"wiring"},
    {"checkout", "cli"},
    {"operator_page"},
    {"web"},
    {"stripe_back_end_api"},
    {"server"},
    {"gunicorn.conf"},
]

NEVER = ("sandbox", "dev", "tests", "benchmarks", "examples")


def modules() -> dict[str, ast.Module]:
    """Every module of the service, by its dotted name within the package."""
    paths = [*ROOT.glob("*.py"), *(ROOT / PACKAGE).rglob("*.py")]
    named = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in paths}
    return {_short(name): ast.parse(path.read_text()) for name, path in named.items()}


def _short(name: str) -> str:
    return name.removesuffix(".__init__").removeprefix(f"{PACKAGE}.")


MODULES = modules()


def imports(tree: ast.AST, *, top_level: bool = False) -> Iterator[str]:
    """The dotted names that are imported; `top_level`: while the module is loaded, for real."""
    nodes = _loaded(tree) if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (_short(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                member = _short(f"{node.module}.{alias.name}")
                yield member if member in MODULES or member in VALUES else _short(node.module)


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
        if library in ONLY and name not in VALUES:
            assert allowed(module, ONLY[library]), f"{module} imports {library}"


def test_drivers_and_extensions_are_loaded_when_they_are_needed() -> None:
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


def test_the_rules_import_no_provider() -> None:
    for module, tree in MODULES.items():
        if module.startswith("payments."):
            assert not [each for each in imports(tree) if each.startswith("gateways.stripe")], (
                module
            )


def _floor(module: str) -> int:
    """A package's own __init__ that says nothing is on the floor of its name."""
    if module == PACKAGE:
        return 0
    fitting = {
        name: level
        for level, names in enumerate(FLOORS)
        for name in names
        if f"{module}.".startswith(f"{name}.")
    }
    if not fitting and _says_nothing(MODULES[module]):
        return 0
    assert fitting, f"{module} is on no floor"
    return fitting[max(fitting, key=len)]


def _says_nothing(tree: ast.Module) -> bool:
    return all(isinstance(node, ast.Expr) for node in tree.body)


def test_every_name_in_the_tables_is_a_module() -> None:
    named = set().union(*FLOORS, *ONLY.values())
    known = [f"{module}." for module in MODULES]
    unknown = {
        name for name in named if not any(each.startswith(f"{name.rstrip('.')}.") for each in known)
    }
    assert unknown == set()


def test_no_two_modules_import_each_other() -> None:
    left = {
        module: {name for name in imports(tree, top_level=True) if name in MODULES} - {module}
        for module, tree in MODULES.items()
    }
    while free := {module for module, needed in left.items() if not needed & left.keys()}:
        left = {module: needed for module, needed in left.items() if module not in free}
    assert left == {}


def test_only_the_settings_read_the_environment() -> None:
    for module, tree in MODULES.items():
        text = ast.unparse(tree)
        if "os.environ" in text or "getenv" in text:
            assert module == "settings" or module.startswith("settings."), module


def test_the_rules_never_look_into_a_gateways_own_object() -> None:
    for module, tree in MODULES.items():
        if module.startswith("payments."):
            read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert "raw" not in read, module


def test_importing_the_service_does_no_work() -> None:
    assert "stripe_back_end_api" in MODULES
    for node in MODULES["stripe_back_end_api"].body:
        assert not isinstance(node, ast.For | ast.While | ast.With | ast.Try)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)


def test_the_table_names_no_library_of_python_by_mistake() -> None:
    assert not (set(ONLY) - {"sqlite3"}) & set(sys.stdlib_module_names)
