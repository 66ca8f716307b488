"""How the command ends: one line for people, a number for scripts."""

from __future__ import annotations

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError, MissingDependencyError

FINE = 0
FINDING = 1
WRONG_USE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


def exit_code(error: BackupError) -> int:
    """Tell wrong use, which a person must correct, from what was found or could not be done."""
    from airflow_provider_xbackup.http.errors import CertificateError, InsecureHostError
    from airflow_provider_xbackup.services.errors import ServiceError
    from airflow_provider_xbackup.vault.errors import MissingBucketError, MissingVaultError, VaultAccessError

    wrong = (
        InvalidArgumentError,
        MissingDependencyError,
        CertificateError,
        InsecureHostError,
        MissingBucketError,
        MissingVaultError,
        VaultAccessError,
    )
    refused = isinstance(error, ServiceError) and not error.retryable  # a connection's credentials, its host
    return WRONG_USE if refused or isinstance(error, wrong) else FINDING
