"""Read-only questions to a real service that settle what its vendor does not document.

:mod:`~airflow_provider_xbackup.doctor.questions` says what is asked and what the package does whatever the answer,
``xray`` and ``xenioo`` ask it, ``report`` is what comes of it. Nothing here starts a backup unless it is told to.
"""

from __future__ import annotations
