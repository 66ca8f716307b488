"""What the package tells Airflow about itself, against Airflow's own schemas and the package's modules."""

from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

import airflow_provider_xbackup
from airflow_provider_xbackup.provider_info import get_provider_info

AIRFLOW = Path(airflow.__file__).parent
PACKAGE = Path(airflow_provider_xbackup.__file__).parent
INFO = get_provider_info()
TYPES = {each["connection-type"]: each for each in INFO["connection-types"]}
SECRETS = {"xray": {"proxy"}, "xenioo": {"proxy", "account_api_key", "bot_api_key", "bot_api_secret"}}


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((AIRFLOW / name).read_text())
    return loaded


def listed(kind: str) -> set[str]:
    return {module for each in INFO[kind] for module in each.get("python-modules", [each.get("python-module")])}


def test_it_is_what_airflow_reads():
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_the_connection_types_pass_the_strict_schema_as_well():
    strict = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(INFO["connection-types"], strict)


def test_airflow_finds_it_by_its_entry_point():
    (entry,) = (each for each in entry_points(group="apache_airflow_provider") if "xbackup" in each.value)
    assert entry.load()() == INFO


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers", "transfers"])
def test_every_module_of_the_package_is_listed_and_importable(kind):
    there = {
        f"airflow_provider_xbackup.{kind}.{path.stem}"
        for path in (
            *(PACKAGE / kind).glob("*.py"),
            *(init.parent for init in (PACKAGE / kind).glob("*/__init__.py")),
        )
        if path.stem
        not in ("__init__", "account_bots", "connection", "identities", "live_counts", "new_bot", "recent")
    }
    assert listed(kind) == there
    for module in there:
        importlib.import_module(module)


@pytest.mark.parametrize("conn_type", TYPES)
def test_a_connection_type_names_its_hook(conn_type):
    module, _, name = TYPES[conn_type]["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (conn_type, TYPES[conn_type]["hook-name"])
    assert hook.default_conn_name == f"{conn_type}_default"
    assert getattr(hook(), hook.conn_name_attr) == f"{conn_type}_default"


@pytest.mark.parametrize("conn_type", TYPES)
def test_secret_fields_are_hidden_and_no_field_is_required(conn_type):
    fields = TYPES[conn_type]["conn-fields"]
    assert {name for name, each in fields.items() if each["schema"].get("format") == "password"} == SECRETS[
        conn_type
    ]
    for name, each in fields.items():
        assert "null" in each["schema"]["type"], name


def test_the_handler_of_asset_uris_is_there():
    (asset,) = INFO["asset-uris"]
    module, _, name = asset["handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_integrations_are_named_as_they_are_described():
    known = {each["integration-name"] for each in INFO["integrations"]}
    for kind in ("hooks", "operators", "sensors", "triggers"):
        assert {each["integration-name"] for each in INFO[kind]} <= known
    for each in INFO["transfers"]:
        assert {each["source-integration-name"], each["target-integration-name"]} <= known
