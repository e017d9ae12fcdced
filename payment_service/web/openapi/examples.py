"""Examples of requests and answers, in the order in which a caller would send them.

A test sends each request to the service and compares the answers.
"""

from __future__ import annotations

from typing import Any

_INTENT = "pi_3SYc2dBx0sandbox1aB2cD3e"

_MANDATE = {"payment_schedule": "sporadic", "transaction_type": "personal"}

# Operation → examples of its body: name → summary and value.
REQUESTS: dict[str, dict[str, Any]] = {
    "createPaymentIntent": {
        "order": {
            "summary": "An order; Stripe chooses the payment methods",
            "value": {"amount": 1099, "currency": "usd", "order_id": "A-1"},
        },
        "ach": {
            "summary": "ACH debit (United States)",
            "value": {
                "amount": 1099,
                "currency": "usd",
                "order_id": "ACH-1",
                "payment_method_types": ["us_bank_account"],
            },
        },
        "eft": {
            "summary": "EFT, pre-authorized debit (Canada)",
            "value": {
                "amount": 1099,
                "currency": "cad",
                "order_id": "EFT-1",
                "payment_method_types": ["acss_debit"],
                "payment_method_options": {"acss_debit": {"mandate_options": _MANDATE}},
            },
        },
        "manual": {
            "summary": "Authorize now, capture later",
            "value": {
                "amount": 1099,
                "currency": "usd",
                "order_id": "M-1",
                "capture_method": "manual",
            },
        },
        "gateways": {
            "summary": "An order that may also be paid at PayPal",
            "value": {
                "amount": 1099,
                "currency": "usd",
                "order_id": "G-1",
                "accept_gateways": ["stripe", "paypal"],
            },
        },
        "interac": {
            "summary": "Interac at a terminal (Canada)",
            "value": {
                "amount": 1099,
                "currency": "cad",
                "order_id": "INT-1",
                "payment_method_types": ["card_present", "interac_present"],
            },
        },
    },
    "capturePaymentIntent": {
        "part": {
            "summary": "Capture a part of the authorized amount; the rest is released",
            "value": {"order_id": "M-1", "amount_to_capture": 700},
        }
    },
    "refundPaymentIntent": {
        "part": {
            "summary": "Give a part back; refund_id is the shop's own name for this refund",
            "value": {
                "order_id": "M-1",
                "refund_id": "R-1",
                "amount": 500,
                "reason": "requested_by_customer",
            },
        },
        "rest": {
            "summary": "Give back all that is left",
            "value": {"order_id": "M-1", "refund_id": "R-2"},
        },
    },
    "updatePaymentIntent": {
        "amount": {
            "summary": "A new amount, unless the order has changed meanwhile",
            "value": {"order_id": "A-1", "amount": 1500, "expected_amount": 1099},
        }
    },
    "cancelPaymentIntent": {
        "abandoned": {
            "summary": "The shopper left",
            "value": {"order_id": "A-1", "reason": "abandoned"},
        }
    },
    "receivePayPalEvent": {
        "approved": {
            "summary": "PayPal's event of an approval",
            "value": {
                "id": "WH-2WR32451HC0233532-67976317FL4543714",
                "create_time": "2026-11-24T16:52:20Z",
                "resource_type": "checkout-order",
                "event_type": "CHECKOUT.ORDER.APPROVED",
                "resource": {
                    "id": "5O190127TN364715T",
                    "status": "APPROVED",
                    "purchase_units": [{"reference_id": "default", "custom_id": "G-1"}],
                },
            },
        }
    },
    "receiveEvent": {
        "succeeded": {
            "summary": "Stripe's event of a payment",
            "value": {
                "id": "evt_3SYc2dBx0sandbox",
                "object": "event",
                "type": "payment_intent.succeeded",
                "created": 1795539140,
                "livemode": False,
                "data": {
                    "object": {
                        "id": _INTENT,
                        "object": "payment_intent",
                        "status": "succeeded",
                        "amount": 1099,
                        "currency": "usd",
                        "metadata": {"order_id": "A-1"},
                    }
                },
            },
        }
    },
}

# Operation → an answer with status 200.
ANSWERS: dict[str, Any] = {
    "createPaymentIntent": {
        "payment_intent_id": _INTENT,
        "client_secret": f"{_INTENT}_secret_f4G5h6",
        "status": "requires_payment_method",
    },
    "getPaymentIntent": {
        "order_id": "A-1",
        "client_id": None,
        "status": "requires_payment_method",
        "paid": False,
        "payment_intent_id": _INTENT,
        "amount": 1099,
        "currency": "usd",
        "amount_received": 0,
        "amount_refunded": 0,
        "refunds": [],
        "disputed": False,
        "disputes": [],
        "capture_before": None,
        "attempt": 1,
        "revision": 0,
        "created_at": 1795539132.1,
        "updated_at": 1795539132.4,
        "waiting": 0,
        "history": [
            {"at": 1795539132.1, "what": "claimed", "attempt": 1},
            {
                "at": 1795539132.4,
                "what": "created",
                "payment_intent_id": _INTENT,
                "status": "requires_payment_method",
            },
        ],
    },
    "listOrders": {
        "orders": [
            {
                "order_id": "A-1",
                "client_id": None,
                "status": "requires_payment_method",
                "paid": False,
                "payment_intent_id": _INTENT,
                "amount": 1099,
                "currency": "usd",
                "amount_received": 0,
                "amount_refunded": 0,
                "refunds": [],
                "disputed": False,
                "disputes": [],
                "capture_before": None,
                "attempt": 1,
                "revision": 0,
                "created_at": 1795539132.1,
                "updated_at": 1795539132.4,
                "waiting": 0,
                "alarms": [],
            },
        ],
        "next_cursor": None,
    },
    "updatePaymentIntent": {
        "payment_intent_id": _INTENT,
        "status": "requires_payment_method",
        "amount": 1500,
        "currency": "usd",
        "revision": 1,
    },
    "cancelPaymentIntent": {
        "payment_intent_id": _INTENT,
        "status": "canceled",
        "amount": 1500,
        "currency": "usd",
    },
    "capturePaymentIntent": {
        "payment_intent_id": _INTENT,
        "status": "succeeded",
        "amount_captured": 700,
    },
    "refundPaymentIntent": {
        "refund_id": "R-1",
        "stripe_refund_id": "re_3SYc2dBx0sandbox1aB2cD3e",
        "amount": 500,
        "currency": "usd",
        "status": "succeeded",
        "amount_refunded": 500,
    },
    "receiveEvent": {"received": True, "outcome": "applied"},
    "receivePayPalEvent": {"received": True, "outcome": "applied"},
    "getConfig": {"publishable_key": "pk_test_51abc"},
    "getHealth": {"status": "ok"},
    "getReadiness": {"status": "ok"},
}
