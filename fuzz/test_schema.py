"""schemathesis with all checks, on our OpenAPI description and the sandbox.

`make fuzz` runs it. FUZZ_EXAMPLES sets the number of cases per operation.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from fuzz.valid_requests import make_valid, with_printable_texts
from payment_service.settings import load_settings
from stripe_back_end_api import create_app
from tests.support.sandbox_process import SandboxProcess

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))

SANDBOX = SandboxProcess().start()
APP = create_app(
    load_settings(
        {
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_API_BASE": SANDBOX.url,
            "STRIPE_WEBHOOK_SECRET": "whsec_sandbox",
        }
    )
)
schema = schemathesis.openapi.from_wsgi("/openapi.json", APP)

# A schema cannot describe a valid signature, so the service rejects every generated event.
UNSIGNABLE = {"/webhook": ["positive_data_acceptance"]}

counts: dict[str, int] = {}


def teardown_module() -> None:
    SANDBOX.close()
    print(f"\ncases: {sum(counts.values())} {dict(sorted(counts.items()))}")


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_responses_match_the_description(case: Any) -> None:
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        case.body = make_valid(case.body)
        case.query = with_printable_texts(case.query)
    response = case.call()
    name = f"{case.method} {case.operation.path} {response.status_code}"
    counts[name] = counts.get(name, 0) + 1
    left_out = UNSIGNABLE.get(case.operation.path, [])
    case.validate_response(response, excluded_checks=CHECKS.get_by_names(left_out))
