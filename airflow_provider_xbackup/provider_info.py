"""What the package tells Airflow about itself."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_xbackup"

_OPTIONS: dict[str, Any] = {
    "verify": {
        "label": "Verify TLS",
        "description": "true, false, or the path of a CA bundle",
        "schema": {"type": ["string", "null"], "default": "true"},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of an HTTP proxy; it may hold a password and is treated as a secret",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "allow_http": {
        "label": "Allow plain http",
        "description": "Send the token unencrypted to a host that is not this machine",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "connect_timeout": {
        "label": "Connect timeout",
        "description": "Seconds until the connection must stand (10)",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "read_timeout": {
        "label": "Read timeout",
        "description": "Seconds until an answer must begin (60)",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "stall_timeout": {
        "label": "Stall timeout",
        "description": "Seconds without a byte after which a download counts as broken (60)",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
}


def _secret(label: str, description: str) -> dict[str, Any]:
    # Without "null" among the types the form would make the field required.
    return {
        "label": label,
        "description": description,
        "schema": {"type": ["string", "null"], "format": "password"},
    }


def _modules(kind: str, integration: str, *modules: str) -> dict[str, Any]:
    return {
        "integration-name": integration,
        "python-modules": [f"{_PACKAGE}.{kind}.{module}" for module in modules],
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-xbackup",
        "name": "XBackup",
        "description": "Backups of Xray Cloud test cases and Xenioo bots in object storage you own.",
        "integrations": [
            {
                "integration-name": "Xray Cloud",
                "external-doc-url": "https://docs.getxray.app/display/XRAYCLOUD/REST+API",
                "tags": ["service"],
            },
            {
                "integration-name": "Xenioo",
                "external-doc-url": "https://docs.xenioo.com",
                "tags": ["service"],
            },
            {
                "integration-name": "XBackup Vault",
                "external-doc-url": "https://airflow-provider-xbackup.readthedocs.io",
                "tags": ["software"],
            },
        ],
        "hooks": [
            _modules("hooks", "Xray Cloud", "xray"),
            _modules("hooks", "Xenioo", "xenioo"),
            _modules("hooks", "XBackup Vault", "vault"),
        ],
        "operators": [
            _modules("operators", "Xray Cloud", "xray"),
            _modules("operators", "Xenioo", "xenioo"),
            _modules("operators", "XBackup Vault", "vault"),
        ],
        "sensors": [_modules("sensors", "Xray Cloud", "xray"), _modules("sensors", "XBackup Vault", "vault")],
        "triggers": [_modules("triggers", "Xray Cloud", "xray")],
        "transfers": [
            {
                "source-integration-name": "Xray Cloud",
                "target-integration-name": "XBackup Vault",
                "python-module": f"{_PACKAGE}.transfers.xray_to_object_storage",
            },
            {
                "source-integration-name": "Xenioo",
                "target-integration-name": "XBackup Vault",
                "python-module": f"{_PACKAGE}.transfers.xenioo_to_object_storage",
            },
        ],
        "extra-links": [f"{_PACKAGE}.links.BackupLink", f"{_PACKAGE}.links.ManifestLink"],
        "notifications": [f"{_PACKAGE}.notifications.BackupNotifier"],
        "plugins": [{"name": "xbackup", "plugin-class": f"{_PACKAGE}.plugins.page.XBackupPlugin"}],
        "asset-uris": [{"schemes": ["xbackup"], "handler": f"{_PACKAGE}.assets.check_uri"}],
        "connection-types": [
            {
                "connection-type": "xray",
                "hook-class-name": f"{_PACKAGE}.hooks.xray.XrayHook",
                "hook-name": "Xray Cloud",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {"host": "Host", "login": "Client ID", "password": "Client Secret"},
                    "placeholders": {
                        "host": "xray.cloud.getxray.app, or us. eu. au. before it",
                        "login": "from Xray's global settings, API Keys",
                    },
                },
                "conn-fields": _OPTIONS,
            },
            {
                "connection-type": "xenioo",
                "hook-class-name": f"{_PACKAGE}.hooks.xenioo.XeniooHook",
                "hook-name": "Xenioo",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login"],
                    "relabeling": {"host": "Service Endpoint", "password": "Bot Token"},
                    "placeholders": {"host": "https://… from the bot's Settings > Developers"},
                },
                "conn-fields": {
                    "account_api_key": _secret("Account API key", "With the two keys below, instead of a token"),
                    "bot_api_key": _secret("Bot API key", "Names the bot that the token is made for"),
                    "bot_api_secret": _secret("Bot API secret", "Belongs to the bot API key"),
                    **_OPTIONS,
                },
            },
        ],
        "config": {
            "xbackup": {
                "description": "Options of the XBackup provider.",
                "options": {
                    "spool_dir": {
                        "description": "Folder in which a Xenioo backup is kept until it is in its vault. It "
                        "must belong to the worker's user alone (0700). Empty: xbackup-spool-<uid> in the "
                        "system's temporary folder.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/var/lib/airflow/xbackup-spool",
                        "default": "",
                    },
                    "download_connections": {
                        "description": "How many connections bring a file of Xray at once, 1 to 16, where "
                        "one of them is slow and the server can send parts.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "8",
                    },
                    "xray_cooldown": {
                        "description": "Seconds to wait where Xray refuses a backup, because of its cooldown or a "
                        "job that runs, and names no time.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "21600",
                    },
                    "xenioo_cooldown": {
                        "description": "Seconds to wait where Xenioo refuses a backup or a restore and names no "
                        "time, and after an answer that was lost and may have spent the bot's hour.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "3600",
                    },
                    "vaults": {
                        "description": "The vaults that the page in Airflow's UI shows: a JSON list of objects "
                        "with name and url, and where wanted expected_accounts, rpo, verified_rpo, retention and "
                        "grace.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": '[{"name": "main", "url": "s3://aws_default@backups/xbackup", '
                        '"expected_accounts": ["xray/acme"], "rpo": "26h"}]',
                        "default": "",
                    },
                    "page_timeout": {
                        "description": "Seconds that the page waits for a vault before it says that there is no "
                        "answer and shows the rest.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "10",
                    },
                },
            }
        },
    }
