"""The Kubernetes manifest and the Compose file against the settings and the commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import fields

from payment_service.cli.commands import main
from payment_service.settings import Settings, load_settings
from payment_service.settings.unknown_names import PREFIXES

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "deploy" / "kubernetes.yaml"
OBJECTS: dict[tuple[str, str], Any] = {
    (each["kind"], each["metadata"]["name"]): each
    for each in yaml.safe_load_all(MANIFEST.read_text())
}
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())

SETTINGS = {each.name.upper(): each for each in fields(Settings)}
CONFIG: dict[str, str] = OBJECTS["ConfigMap", "payments"]["data"]

# The Secret `payments`, with values of the right form.
GIVEN = {
    "STRIPE_SECRET_KEY": "sk_test_a",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_a",
    "STRIPE_WEBHOOK_SECRET": "whsec_a",
    "KEY_STORE_URL": "postgresql://u:p@db:5432/payments",
    "ORDER_EVENTS_URL": "https://shop.example/events",
    "ORDER_EVENTS_SECRET": "secret",
}

DEPLOYED = OBJECTS["Deployment", "payments"]["spec"]["template"]
JOB = OBJECTS["CronJob", "payments-reconcile"]["spec"]["jobTemplate"]["spec"]["template"]
PODS = {"Deployment": DEPLOYED, "CronJob": JOB}
POLICY = OBJECTS["NetworkPolicy", "payments"]["spec"]


def container(pod: Any) -> Any:
    (found,) = pod["spec"]["containers"]
    return found


def labels(pod: Any) -> dict[str, str]:
    found: dict[str, str] = pod["metadata"]["labels"]
    return found


def open_ports(rules: list[Any]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_config_map_and_secret_are_valid_settings_together() -> None:
    assert set(CONFIG) <= set(SETTINGS)
    assert all(isinstance(text, str) for text in CONFIG.values())
    settings = load_settings({**CONFIG, **GIVEN})
    assert (settings.host, settings.port, settings.metrics_port) == ("0.0.0.0", 4242, 9464)


def test_header_lists_every_setting_that_is_secret() -> None:
    header = MANIFEST.read_text().partition("---")[0]
    secret = {name for name, each in SETTINGS.items() if "Secret" in str(each.type)}
    secret = {name for name in secret if name.startswith(PREFIXES) and "PAYPAL" not in name}
    assert secret
    assert secret | set(GIVEN) <= set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", header))
    assert not secret & set(CONFIG)


@pytest.mark.parametrize("pod", PODS.values(), ids=list(PODS))
def test_pod_gets_no_variables_of_services_and_no_rights(pod: Any) -> None:
    spec, runs = pod["spec"], container(pod)
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert runs["securityContext"]["readOnlyRootFilesystem"] is True
    assert runs["envFrom"] == container(DEPLOYED)["envFrom"]
    assert {each["name"] for each in runs["volumeMounts"]} == {
        each["name"] for each in spec["volumes"]
    }
    mounted = {each["mountPath"] for each in runs["volumeMounts"]}
    assert str(Path(CONFIG["CLIENTS_FILE"]).parent) in mounted


def test_service_and_budget_select_the_deployment_alone() -> None:
    for kind in ("Service", "PodDisruptionBudget"):
        selector = OBJECTS[kind, "payments"]["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert wanted.items() <= labels(DEPLOYED).items()
        assert not wanted.items() <= labels(JOB).items()


def test_pod_is_killed_after_its_requests_have_ended() -> None:
    spec = DEPLOYED["spec"]
    pause = container(DEPLOYED)["lifecycle"]["preStop"]["sleep"]["seconds"]
    budget = int(CONFIG["REQUEST_BUDGET_SECONDS"])
    # gunicorn_conf.py gives a stopping worker five seconds more.
    assert spec["terminationGracePeriodSeconds"] >= pause + budget + 5
    assert int(COMPOSE["services"]["payments"]["stop_grace_period"].rstrip("s")) >= budget + 5


def test_network_policy_covers_every_pod_and_its_connections() -> None:
    (rule,) = POLICY["podSelector"]["matchExpressions"]
    assert rule["values"] == [labels(pod)[rule["key"]] for pod in PODS.values()]
    assert open_ports(POLICY["ingress"]) == {int(CONFIG["PORT"]), int(CONFIG["METRICS_PORT"])}
    assert {each["containerPort"] for each in container(DEPLOYED)["ports"]} == open_ports(
        POLICY["ingress"]
    )
    # Names, Stripe and the shop, the key store.
    assert open_ports(POLICY["egress"]) == {53, 443, 5432}


@pytest.mark.parametrize(
    "command",
    [container(JOB)["command"], COMPOSE["services"]["reconcile"]["command"]],
    ids=["Kubernetes", "Compose"],
)
def test_job_runs_a_command_that_exists(command: list[str]) -> None:
    program, name, *options = command
    assert program == "payment-service"
    main.commands[name].make_context(name, list(options)).close()


def test_jobs_open_no_metrics_port() -> None:
    (port,) = [each for each in container(JOB)["env"] if each["name"] == "METRICS_PORT"]
    assert port["value"] == COMPOSE["services"]["reconcile"]["environment"]["METRICS_PORT"] == ""


@pytest.mark.parametrize("name", ["payments", "reconcile"])
def test_compose_services_have_valid_settings(name: str) -> None:
    service = COMPOSE["services"][name]
    environ = service["environment"]
    assert set(environ) <= set(SETTINGS)
    url = re.sub(r"\$\{[^}]+\}", "pw", environ["KEY_STORE_URL"])
    load_settings({**GIVEN, **environ, "KEY_STORE_URL": url})
    assert service["secrets"] == ["clients"]
    assert environ["CLIENTS_FILE"] == "/run/secrets/clients"


def test_compose_up_does_not_start_the_job() -> None:
    assert COMPOSE["services"]["reconcile"]["profiles"] == ["jobs"]
    assert "profiles" not in COMPOSE["services"]["payments"]
