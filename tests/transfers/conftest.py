from __future__ import annotations

from stand_in import connect, connections, finished_job, naps, served, several_connections, sim, spool_dir, vault

__all__ = [
    "connect",
    "connections",
    "finished_job",
    "naps",
    "served",
    "several_connections",
    "sim",
    "spool_dir",
    "vault",
]
