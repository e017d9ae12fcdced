"""Flask that only echoes our request: the upper bound for replays."""

from __future__ import annotations

from typing import Any

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/healthz")
def healthz() -> Any:
    return jsonify(status="ok")


@app.post("/create-payment-intent")
def echo() -> Any:
    return jsonify(request.get_json())
