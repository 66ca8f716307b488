"""What a fault is tried on: a vault with earlier backups, a service, a process that does the transfer."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfer.spool import Spool
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.manifest import Scope

#: So many faults are tried at the same time, each on a world of its own.
SIDE_BY_SIDE = 3
#: Small enough for a few parts of what the simulator makes.
PART = 32 * 1024

Files = Mapping[str, bytes]


class Nursery:
    """A process that raises others, one for each errand."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killpoint_nursery.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, errand: Mapping[str, Any]) -> Any:
        """Start an errand; return what to wait for it with."""
        return self._ask(errand)

    def wait(self, child: Any) -> dict[str, Any]:
        """Wait for the end of an errand, whatever end that is."""
        ending: dict[str, Any] = self._ask({"await": child})
        return ending

    def _ask(self, what: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def wait_until_ready(self) -> None:
        """Wait for its imports."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Disk:
    """A vault in a folder, and every file in it, listed or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = folder.as_uri()

    def begin(self, files: Files) -> None:
        """Start from these files."""
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)

    def files(self) -> Files:
        """Every file."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def unfinished(self) -> list[str]:
        """What no listing shows."""
        return sorted(name for name in self.files() if "#" in name)

    def clear(self) -> None:
        """Nothing: it goes with the trial."""


class Bucket:
    """A vault in a bucket, and every object and open upload in it."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self.url = f"s3://{bucket}/{prefix}"

    def begin(self, files: Files) -> None:
        """Start from these objects."""
        for name, content in files.items():
            self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=content)

    def files(self) -> Files:
        """Every object."""
        get = self._client.get_object
        return {
            key.removeprefix(f"{self._prefix}/"): get(Bucket=self._bucket, Key=key)["Body"].read()
            for key in self._keys()
        }

    def unfinished(self) -> list[str]:
        """The open uploads."""
        listed = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=f"{self._prefix}/")
        return [found["Key"] for found in listed.get("Uploads", [])]

    def clear(self) -> None:
        """Remove all of it, so that the next listing is short."""
        keys = [{"Key": key} for key in self._keys()]
        self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": keys})

    def _keys(self) -> list[str]:
        listed = self._client.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._prefix}/")
        return [found["Key"] for found in listed.get("Contents", [])]


def whole_backups(files: Files) -> dict[str, set[str]]:
    """Read a vault as its format is written down, without the product.

    :return: the files of every visible backup, by its folder
    :raises AssertionError: when one is not whole
    """
    backups = {}
    for name in files:
        folder, _, last = name.rpartition("/")
        if last != "manifest.json":
            continue
        try:
            manifest = json.loads(files[name])
        except ValueError:
            raise AssertionError(f"{name} is half") from None
        assert folder == "/".join((manifest["service"], manifest["account"], manifest["backup_id"]))
        assert manifest["artifacts"]
        for artifact in manifest["artifacts"]:
            stored = files.get(f"{folder}/{artifact['name']}")
            assert stored is not None, f"{artifact['name']} of {folder} is missing"
            assert hashlib.sha256(stored).hexdigest() == artifact["stored_sha256"], f"{name} is damaged"
        backups[folder] = {name, *(f"{folder}/{artifact['name']}" for artifact in manifest["artifacts"])}
    return backups


def earlier_backups(folder: Path) -> Files:
    """Backups that were in the vault before: of these accounts and of another."""
    vault = Vault.open(folder.as_uri())
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    for service, account, roles in (
        ("xray", "acme", ("backup", "attachments")),
        ("xray", "other", ("backup",)),
        ("xenioo", "acme", ("bot",)),
    ):
        draft = vault.draft(service, account, f"{at:%Y%m%dT%H%M%SZ}-full-0000aaaa")
        for role in roles:
            draft.add(role, [role.encode() * 100], media_type="application/zip")
        draft.commit(
            requested_at=at, producer={"package_version": "0"}, scope=Scope(attachments="attachments" in roles)
        )
    return Disk(folder).files()


@dataclass
class World:
    """Where faults are tried: stores, services and processes; shared by all tests of this folder.

    :param folder: for vaults, spools and logs
    :param sim: both services
    :param s3: the address of an object store
    :param client: boto3's client of it
    """

    folder: Path
    sim: Simulator
    s3: str
    client: Any
    earlier: Files
    job: Mapping[str, Any]
    recipient: str
    nurseries: queue.Queue[tuple[Nursery, str]] = field(default_factory=queue.Queue)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def nursery(self) -> Iterator[tuple[Nursery, str]]:
        """A nursery, and the bot that nobody else uses meanwhile."""
        taken = self.nurseries.get()
        try:
            yield taken
        finally:
            self.nurseries.put(taken)

    @contextlib.contextmanager
    def trial(
        self,
        scenario: Scenario,
        prepare: Callable[[Path], contextlib.AbstractContextManager[object]] | None = None,
    ) -> Iterator[Trial]:
        """Everything one fault is tried on, as it is before the transfer.

        :param prepare: makes something of the folder in which the vault and the spool will be
        """
        folder = self.folder / str(next(self.numbers))
        folder.mkdir()
        with self.nursery() as (nursery, bot), prepare(folder) if prepare else contextlib.nullcontext():
            trial = self._begin(scenario, nursery, bot, folder)
            yield trial
            trial.store.clear()
        shutil.rmtree(folder)

    def _begin(self, scenario: Scenario, nursery: Nursery, bot: str, folder: Path) -> Trial:
        self.forget_hour(bot)
        store = (
            Disk(folder / "vault")
            if scenario.store == "disk"
            else Bucket(self.client, "killpoints", f"trial {folder.name}")
        )
        store.begin(self.earlier)
        trial = Trial(self, scenario, nursery, bot, folder, store)
        for plan in scenario.before:
            trial.run("transfer", plan=plan)
        return trial

    def forget_hour(self, bot: str) -> None:
        """Let a bot answer again."""
        self.sim._world.bots.refund("backup", bot)


@dataclass(frozen=True)
class Scenario:
    """A kind of run whose every call is to fail.

    :param service: ``xray`` or ``xenioo``
    :param store: ``disk`` or ``s3``
    :param encrypted: whether to encrypt
    :param before: faults of earlier tries of the task
    :param do: what is to fail
    :param conditions: whether the store knows conditional writes
    :param floor: fewer calls than this are a sign that calls are not seen any more
    """

    service: str
    store: str
    encrypted: bool = False
    before: tuple[Mapping[str, Any], ...] = ()
    do: str = "transfer"
    conditions: bool = True
    floor: int = 10


@dataclass
class Trial:
    """One fault, its run and what came of it."""

    world: World
    scenario: Scenario
    nursery: Nursery
    bot: str
    folder: Path
    store: Disk | Bucket
    tries: int = 0

    def __post_init__(self) -> None:
        self._since = max((entry.sequence for entry in self.world.sim.journal.entries()), default=0)

    @property
    def spool(self) -> Path:
        """The spool of the worker."""
        return self.folder / "spool"

    def run(self, do: str, **more: Any) -> dict[str, Any]:
        """Let a fresh process do something, with the arguments of every try."""
        return self.nursery.wait(self.start(do, **more))

    def start(self, do: str, **more: Any) -> Any:
        """The same, and go on meanwhile."""
        return self.nursery.start(self.errand(do, **more))

    def errand(self, do: str, **more: Any) -> dict[str, Any]:
        """The errand of a fresh process."""
        self.tries += 1
        sim = self.world.sim
        return {
            "do": do,
            "service": self.scenario.service,
            "account": "acme",
            "host": sim.xenioo_url(quote(self.bot)) if self.scenario.service == "xenioo" else sim.url,
            "token": f"{self.bot}-token",
            "job": dict(self.world.job),
            "vault": self.store.url,
            "s3": self.world.s3,
            "spool": str(self.spool),
            "conditions": self.scenario.conditions,
            "recipients": [self.world.recipient] if self.scenario.encrypted else [],
            "part": PART,
            "try": self.tries,
            "log": str(self.folder / f"calls {self.tries}"),
        } | more

    def calls(self, number: int) -> list[str]:
        """The calls of a try, by name."""
        return (self.folder / f"calls {number}").read_text().splitlines()

    def answers(self) -> int:
        """How many backups the bot has given away; and no job was asked for."""
        since = [entry for entry in self.world.sim.journal.entries() if entry.sequence > self._since]
        assert not any(entry.job_id for entry in since), "a job was asked for again"
        return sum(
            entry.bot == self.bot and entry.status == 200 and entry.path.endswith("/bots/backup")
            for entry in since
        )

    def new_backups(self) -> set[str]:
        """The folders of what is visible now and was not before; everything visible is whole.

        :raises AssertionError: when that is not so, or an earlier backup changed
        """
        return self._new_in(self.store.files())

    def _new_in(self, files: Files) -> set[str]:
        changed = [name for name, content in self.world.earlier.items() if files.get(name) != content]
        assert not changed, f"earlier backups changed: {changed}"
        return set(whole_backups(files)) - set(whole_backups(self.world.earlier))

    def in_hand(self) -> bool:
        """Whether the answer of the bot is kept, so that it must not be asked for again."""
        if self.scenario.service == "xray":
            return False  # its file can be fetched again
        return any(self.spool.glob("*.json")) or bool(self.new_backups())

    def an_hour_passes(self) -> None:
        """The bot answers again, and the notes that it will not are out of date."""
        self.world.forget_hour(self.bot)
        for note in self.spool.glob("*.lost"):
            note.unlink()

    def two_days_pass(self) -> None:
        """For the leftovers in the spool."""
        for path in self.spool.glob("*"):
            os.utime(path, (time.time() - 172_800,) * 2)

    def check(self, fault: Mapping[str, Any]) -> None:
        """Let a fault happen, and look at all that must hold afterwards.

        :raises AssertionError: when something does not
        """
        in_hand = self.in_hand()
        ending = self.run(self.scenario.do, **fault)
        refuse_accidents(ending)
        if "mode" in fault.get("plan", {}):
            died = fault["plan"]["mode"].startswith("kill")
            assert (ending["signal"] == 9) if died else ending["hit"], f"the fault did not happen: {ending}"
        new = self.new_backups()
        assert len(new) <= 1
        if "backup_id" in ending:
            assert new == {f"{self.scenario.service}/acme/{ending['backup_id']}"}
        self.converge(new, in_hand=in_hand)

    def converge(self, new: set[str], *, in_hand: bool = False) -> None:
        """Run again without faults until there is a backup, and collect what lies around.

        :param new: what must still be there then
        :param in_hand: whether the bot's answer was in hand before
        """
        answers, in_hand = self.answers(), in_hand or self.in_hand()
        again = self.run("transfer and collect")
        if again.get("error") in REFUSALS:
            assert not in_hand, "an answer in hand was lost"
            assert self.answers() == answers, "asked again within the hour"
            self.an_hour_passes()
            again = self.run("transfer and collect")
        assert "backup_id" in again, again
        assert not again["refused"]
        folder = f"{self.scenario.service}/acme/{again['backup_id']}"
        files = self.store.files()
        assert self._new_in(files) == {folder}
        assert new <= {folder}, "there was another backup before"
        if in_hand:
            assert self.answers() == answers, "asked again for what was in hand"
        left = set(files) - set().union(*whole_backups(files).values())
        assert not left, f"left: {sorted(left)}"
        assert not self.store.unfinished(), f"open: {self.store.unfinished()}"
        if self.scenario.service == "xenioo":
            self.two_days_pass()
            Spool(self.spool).sweep()
            assert not list(self.spool.iterdir()), "the spool is not empty"


REFUSALS = ("CooldownError", "SpentHourError")
"""By the bot, and by what its last answer left behind."""


def refuse_accidents(ending: Mapping[str, Any]) -> None:
    """Let a process end well, with an error of the package, or killed; with nothing else.

    :raises AssertionError: when it ended otherwise
    """
    assert ending.get("error") != "unexpected", ending["message"]
    assert "Errno" not in ending.get("message", ""), ending["message"]
    assert ending["signal"] in (0, signal.SIGKILL, signal.SIGXFSZ), f"it ended with signal {ending['signal']}"


def count_calls(world: World, scenario: Scenario, *, streams: bool = False) -> list[str]:
    """Run without a fault; return the calls."""
    with world.trial(scenario) as trial:
        before = trial.new_backups()
        ending = trial.run(scenario.do, plan={"streams": streams})
        refuse_accidents(ending)
        assert "error" not in ending, ending
        assert len(trial.new_backups()) == (1 if scenario.do == "transfer" else len(before))
        calls = trial.calls(trial.tries)
        trial.converge(trial.new_backups())
    assert len(calls) >= scenario.floor, f"only {len(calls)} calls are seen: {calls}"
    return calls


def try_all(
    world: World,
    scenario: Scenario,
    faults: Mapping[str, Mapping[str, Any]],
    check: Callable[[Trial, Mapping[str, Any]], None] = Trial.check,
) -> None:
    """Try faults side by side; raise with all that went wrong.

    :param faults: what the errand is told, by a name for people
    """

    def attempt(name: str) -> str:
        try:
            with world.trial(scenario) as trial:
                check(trial, faults[name])
        except AssertionError as error:
            return f"{name}: {error}"
        return ""

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        wrong = [found for found in pool.map(attempt, faults) if found]
    assert not wrong, f"{len(wrong)} of {len(faults)} faults:\n" + "\n".join(wrong)
