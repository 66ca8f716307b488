"""All that the simulator knows while it runs; the routers share it."""

from __future__ import annotations

from airflow_provider_xbackup.simulator.bots import Bots
from airflow_provider_xbackup.simulator.clock import Clock
from airflow_provider_xbackup.simulator.fault_book import FaultBook
from airflow_provider_xbackup.simulator.journal import Journal
from airflow_provider_xbackup.simulator.links import Links
from airflow_provider_xbackup.simulator.settings import SimulatorSettings
from airflow_provider_xbackup.simulator.tenants import Tenants
from airflow_provider_xbackup.simulator.tokens import JwtIssuer, OpaqueTokens


class World:
    """The state behind both APIs.

    :param settings: the settings at start; replaced, not changed, by the control endpoint
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.clock = Clock(settings.start_at)
        self.journal = Journal(settings.journal_size)
        self.faults = FaultBook()
        self.xray_tokens = JwtIssuer()
        self.xenioo_tokens = OpaqueTokens()
        self.tenants = Tenants(lambda: self.settings.xray, self.clock)
        self.bots = Bots(lambda: self.settings.xenioo, self.clock)
        self.links = Links()

    def revoke_tokens(self) -> None:
        """Make every token issued so far invalid; ready bot tokens stay valid."""
        self.xray_tokens.revoke_all()
        self.xenioo_tokens.revoke_all()

    def reset(self) -> None:
        """Forget jobs, cooldowns, tokens, links, restored bots, faults and journal.

        Settings and clock stay.
        """
        self.revoke_tokens()
        self.tenants.forget()
        self.bots.forget()
        self.links.forget()
        self.faults.clear()
        self.journal.clear()

    def close(self) -> None:
        """Release threads and files."""
        self.tenants.close()
