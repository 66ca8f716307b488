"""The bucket's own rule for what nobody sees: hidden versions, and uploads that were never ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kinds import PREFIX, S3, stores

from airflow_provider_xbackup.vault import Vault

RULE = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.json"

pytestmark = [
    pytest.mark.row("lifecycle rule: hidden versions and open uploads go, backups stay"),
    # The one whose days pass in seconds.
    pytest.mark.parametrize("kind", stores("radosgw"), indirect=True),
]


def test_the_rule_of_the_documentation_removes_what_nobody_sees(
    kind: S3, open_vault: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    bucket = kind.new_bucket(versions=True)
    vault = open_vault(bucket)
    backup = store_backup(vault)
    hidden = vault.store.put("xray/acme/hidden", b"hidden")
    vault.store.delete("xray/acme/hidden")
    kind.s3.create_multipart_upload(Bucket=bucket, Key=f"{PREFIX}/xray/acme/open")
    text = RULE.read_text().replace("vault/", f"{PREFIX}/").replace(": 30", ": 1").replace(": 7", ": 1")

    kind.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=json.loads(text))

    give_up = time.monotonic() + 120
    while kind.versions(bucket, hidden.path) != ([], []) or kind.unfinished(bucket):
        assert time.monotonic() < give_up, (kind.versions(bucket, hidden.path), kind.unfinished(bucket))
        time.sleep(0.5)
    assert [each.manifest for each in vault.backups()] == [backup.manifest]
    for path in (backup.path.manifest, backup.path.file(backup.manifest.artifacts[0].name)):
        assert len(kind.versions(bucket, path)[0]) == 1
