from __future__ import annotations

from signalled import disk, processes, s3, s3_port, start, store
from stand_in import connect, connections, finished_job, naps, served, sim, spool_dir

__all__ = [
    "connect",
    "connections",
    "disk",
    "finished_job",
    "naps",
    "processes",
    "s3",
    "s3_port",
    "served",
    "sim",
    "spool_dir",
    "start",
    "store",
]
