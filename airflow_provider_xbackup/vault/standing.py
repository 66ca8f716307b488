"""Whether a backup can be relied on: the one place that says what is whole, damaged, suspect or verified."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.checks import JUDGEMENTS, NO_EVIDENCE, Evidence, without_judgements
from airflow_provider_xbackup.vault.manifest import Condition, Manifest


class Standing(StrEnum):
    """What a backup is. Only a whole one counts for anything: the latest, a base, a rule of retention."""

    WHOLE = "whole"
    #: It fell far below its predecessors, and nobody has accepted it.
    SUSPECT = "suspect"
    #: A file is gone, or the full that it builds on, or a check found that something is not what it should be.
    DAMAGED = "damaged"
    #: Something that was asked for is missing.
    INCOMPLETE = "incomplete"
    FUTURE = "dated in the future"
    EXPIRED = "expired"
    #: There is a manifest, and it cannot be read: nobody knows more.
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be thought of a backup, and why.

    :param standing: what it is; of several the first of expired, future, suspect, damaged, incomplete
    :param flaws: what is wrong with it, in sentences, whether or not it has expired; empty where nothing is
    :param suspect: whether it is in doubt, also where it has expired or is dated in the future
    :param verified: whether all its bytes were read and found right, and nothing speaks against it
    """

    standing: Standing
    flaws: tuple[str, ...] = ()
    suspect: bool = False
    verified: bool = False


def judge(
    manifest: Manifest,
    names: Collection[str] | None,
    evidence: Evidence = NO_EVIDENCE,
    *,
    in_future: bool = False,
    base_gone: bool = False,
) -> Verdict:
    """Say what is to be thought of a backup.

    Its manifest tells how it was stored, its folder whether its files are there and whether it has expired, its
    checks what is wrong with it. A person's word goes over a judgement, and over nothing else.

    :param manifest: its manifest
    :param names: what lies in its folder; None where that was not looked at
    :param evidence: what its checks add up to
    :param in_future: whether it is dated in the future
    :param base_gone: whether it is a partial and the vault no longer holds its full
    """
    beside = names or ()
    accepted = layout.ACCEPTED in beside
    condition = manifest.condition
    if accepted:
        evidence = without_judgements(evidence)
    judgements = [str(failure) for failure in evidence.failures if failure.code in JUDGEMENTS]
    damage = [str(failure) for failure in evidence.failures if failure.code not in JUDGEMENTS]
    told = {failure.object for failure in evidence.failures if failure.code not in JUDGEMENTS}
    missing = [] if names is None else [one.name for one in manifest.artifacts if one.name not in names]
    damage += (f"{name} is not there." for name in missing if name not in told)
    if base_gone:
        damage.append(f"Its full {manifest.base} is gone.")
    suspect = bool(judgements) or (condition.state == "suspect" and not accepted)
    standings = (
        (layout.TOMBSTONE in beside, Standing.EXPIRED),
        (in_future, Standing.FUTURE),
        (suspect, Standing.SUSPECT),
        (bool(damage), Standing.DAMAGED),
        (condition.state == "incomplete", Standing.INCOMPLETE),
    )
    standing = next((standing for true, standing in standings if true), Standing.WHOLE)
    flaws = tuple(dict.fromkeys((*_reasons_of(condition, accepted=accepted), *judgements, *damage)))
    return Verdict(standing, flaws, suspect, verified=standing is Standing.WHOLE and evidence.proven)


def _reasons_of(condition: Condition, *, accepted: bool) -> tuple[str, ...]:
    """Say why a backup was not stored as a good one."""
    if condition.state == "ok" or (condition.state == "suspect" and accepted):
        return ()
    return condition.reasons or (f"It was stored as {condition.state}, and no reason was noted.",)
