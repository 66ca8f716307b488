"""What an artifact shows of its content while its plain bytes pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.inventory import Inventory
from airflow_provider_xbackup.contents.jsonend import JsonEnd, may_begin_json
from airflow_provider_xbackup.contents.zipcheck import ZipInspector, ZipReport
from airflow_provider_xbackup.vault.checks import CheckFinding
from airflow_provider_xbackup.vault.manifest import Artifact

#: Zips that are not damaged, but more than this release can look into.
_UNREADABLE = ("unsupported-method", "too-many-entries")


class Reading:
    """Looks into the plain bytes of one artifact as they pass.

    :param artifact: which
    :param inventory: takes stock of zips
    :param looks: whether to look at all
    :ivar report: what a zip showed, once all of it has passed
    """

    def __init__(self, artifact: Artifact, inventory: Inventory, *, looks: bool) -> None:
        self.looks = looks
        self.report: ZipReport | None = None
        self._role = artifact.role
        self._json: JsonEnd | None = None
        self._start = b""
        self._damage: list[CheckFinding] = []
        self._zip: ZipInspector | None = None
        if looks and artifact.role == "backup":
            self._zip = ZipInspector(content=True, open_entry=inventory.open_data)
        elif looks and artifact.role == "attachments":
            self._zip = ZipInspector(content=True, entities=False, open_entry=inventory.open_attachment)

    def feed(self, block: bytes) -> None:
        """Take the next bytes."""
        if not self.looks or self._damage:
            return
        if self._zip is not None:
            with self._noting():
                self._zip.feed(block)
        elif self._json is not None:
            self._json.feed(block)
        else:
            self._start += block
            if self._start.strip():
                self._json = JsonEnd(self._start)

    def finish(self) -> tuple[CheckFinding, ...]:
        """Return what is wrong with it."""
        if not self.looks or self._damage:
            return tuple(self._damage)
        if self._zip is not None:
            with self._noting():
                self.report = self._zip.finish()
        elif self._role == "bot":
            self._finish_bot()
        return tuple(self._damage)

    def _finish_bot(self) -> None:
        if self._json is None:
            self._damage.append(CheckFinding(code="empty", text="there is nothing in it."))
        elif self._json.is_cut_off():
            self._damage.append(CheckFinding(code="damaged-json", text="its JSON is cut off."))
        elif not self._json.is_complete():
            # Nobody has said that a bot's backup is JSON; what does not begin like it may be something else.
            known = may_begin_json(self._start)
            self._damage.append(
                CheckFinding(code="damaged-json", text="its JSON is damaged.")
                if known
                else CheckFinding(code="unknown-format", kind="warning", text="it is no JSON, and was not read.")
            )

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except DamagedZipError as exc:
            if exc.code in _UNREADABLE:
                finding = CheckFinding(code="unreadable-zip", kind="warning", text=str(exc))
            else:
                finding = CheckFinding(code="damaged-zip", text=str(exc))
            self._damage.append(finding)
