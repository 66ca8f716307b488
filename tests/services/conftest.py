"""Answers made by hand: what services read, without any wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_xbackup.http.message import Answer

NOW = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)
PAGE = b"<!DOCTYPE html><html><head><title>Blocked</title></head><body>Ray ID 8f3</body></html>"


@pytest.fixture
def now() -> datetime:
    """When the answers come."""
    return NOW


@pytest.fixture
def page() -> bytes:
    """A web page of something between us and the service."""
    return PAGE


@pytest.fixture
def reply() -> Callable[..., Answer]:
    """Makes an answer; a body that is no bytes becomes JSON, header names are written with underscores."""

    def make(status: int, body: Any = b"", **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, NOW)

    return make
