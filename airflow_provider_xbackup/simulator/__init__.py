"""Both vendors' backup APIs on this machine, with their faults, to test and demonstrate against."""

from airflow_provider_xbackup.simulator.server import Simulator, serve
from airflow_provider_xbackup.simulator.settings import SimulatorSettings

__all__ = ["Simulator", "SimulatorSettings", "serve"]
