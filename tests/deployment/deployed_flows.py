"""What the tests do with the deployment, and what they look at in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_api import Run
from celery_deployment import Deployment
from processes import wait_for

PATIENCE = 420
"""Seconds for what takes a minute on a machine that does nothing else."""


@dataclass(frozen=True)
class Flows:
    """Starts flows into a vault of the test's own, and looks at what came of them.

    :param airflow: the deployment
    :param vault: the vault's name in the bucket
    :param tell: takes what was counted, for the table of outcomes
    """

    airflow: Deployment
    vault: str
    tell: Callable[[str, str], None]

    def start(
        self,
        tenants: Sequence[str] = (),
        bots: Sequence[str] = (),
        dag_id: str = "accounts",
        on_cooldown: str = "wait",
    ) -> Run:
        """Start a run that backs up tenants and bots. Their names in the vault are the vendors'."""
        return self.airflow.api.run(
            dag_id,
            vault=self.airflow.vault(self.vault),
            tenants=[{"account": name, "xray_conn_id": f"xray_{name}"} for name in tenants],
            bots=[{"account": name, "xenioo_conn_id": f"xenioo_{name}"} for name in bots],
            on_cooldown=on_cooldown,
        )

    def conclude(
        self,
        *runs: Run,
        tenants: Sequence[str] = (),
        bots: Sequence[str] = (),
        refusals: bool = False,
        asked_again: int = 0,
    ) -> list[dict[str, Any]]:
        """Wait for the end of runs, tell what came of them, and demand what is promised.

        :param runs: they have to succeed
        :param tenants: of whom backups are expected, as often as a name stands here
        :param bots: likewise
        :param refusals: whether requests had to meet a cooldown: they are no repetitions then
        :param asked_again: how often at most a bot had to give another answer, because one died with its process
        :return: the manifests
        """
        ended = [run.wait_for_end(PATIENCE) for run in runs]
        backups = self.airflow.bucket.whole_backups(self.vault)
        arrived = Counter((each["service"], each["account"]) for each in backups)
        expected = Counter([*(("xray", name) for name in tenants), *(("xenioo", name) for name in bots)])
        requests = self.airflow.vendors.granted() if refusals else self.airflow.vendors.asked_for()
        repeated = (Counter(requests) - Counter(tenants)).total()
        answers_lost = (Counter(self.airflow.vendors.answered()) - Counter(bots)).total()
        lost = self.lost_slots()
        self.tell("Backups arrived", f"{(arrived & expected).total()} of {expected.total()}")
        self.tell("Requests repeated", str(repeated))
        self.tell("Bots asked again", str(answers_lost))
        self.tell("Slots lost", str(lost))
        assert ended == ["success"] * len(runs)
        assert arrived == expected
        assert repeated == 0
        assert answers_lost <= asked_again
        assert lost == 0
        self._demand_own_files(backups)
        return backups

    def bytes_of(self, account: str) -> int:
        """Count what lies in the vault below an account, finished or not."""
        return self.airflow.bucket.size(f"{self.vault}/{account}")

    def lost_slots(self) -> int:
        """Count slots that do not come back. Processes may take a moment to end."""
        try:
            wait_for("free slots", lambda: not self.airflow.occupied_slots())
        except AssertionError:
            return self.airflow.occupied_slots()
        return 0

    def _demand_own_files(self, backups: list[dict[str, Any]]) -> None:
        """Demand that every backup of a tenant has the files of its own job and no other's."""
        for each in backups:
            if each["service"] == "xray":
                made = self.airflow.vendors.files_of(each["account"], each["remote"]["job_id"])
                assert {artifact["md5"] for artifact in each["artifacts"]} == made
