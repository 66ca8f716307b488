"""The JSON Schema of the records beside a manifest.

``python -m airflow_provider_xbackup.vault.record_schema`` prints it.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from airflow_provider_xbackup.vault.checks import Check
from airflow_provider_xbackup.vault.records import Acceptance, Hold, Tombstone


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a record, whichever it is."""
    adapter: TypeAdapter[Any] = TypeAdapter(Acceptance | Hold | Tombstone | Check)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://airflow-provider-xbackup.readthedocs.io/records.schema.json",
        **adapter.json_schema(by_alias=True, mode="serialization"),
    }


def main() -> None:
    """Print the JSON Schema, as ``docs/records.schema.json`` keeps it."""
    import sys

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


if __name__ == "__main__":
    main()
