"""Tell what was added, removed and changed between two backups, A the older and B the newer.

Of Xray, entities are compared by kind, project and id, and by their content; of Xenioo, the two bots place by
place. The order of fields, white space, and how numbers are written make no difference. A partial backup is laid
over the full one that it builds on. Differences are no error: the exit code is 0. With --json, an object with the
keys a, b, kinds (added, removed, changed and same by kind) and changes (what, kind, project, id), all of them; for
bots, a, b, count, new_ids and changes (what, path).
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, keys, text, vaults

if TYPE_CHECKING:
    from airflow_provider_xbackup.contents.differences import Differences
    from airflow_provider_xbackup.contents.sameness import Comparison
    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.identities import Identities
    from airflow_provider_xbackup.vault.vault import Vault

NAME = "diff"
HELP = "tell what differs between two backups"

_MOST_TOLD = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    for which in ("a", "b"):
        parser.add_argument(
            which,
            metavar=which.upper(),
            help="a backup id or its beginning, latest, latest-verified, 'as-of INSTANT'",
        )
    parser.add_argument("--vault-b", metavar="VAULT", help="where B is, if in another vault")
    parser.add_argument("--all", action="store_true", help=f"name all differences, not {_MOST_TOLD} of each kind")
    parser.add_argument("--alone", action="store_true", help="compare partial backups without the full ones below")
    keys.add_identity(parser)
    vaults.add_filters(parser)
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.choose import Selector, choose

    selectors = Selector.parse(args.a), Selector.parse(args.b)
    identities = keys.read_identities(args)
    vault = vaults.open_vault(args)
    other = vault
    if args.vault_b is not None:
        other = vaults.connect(args.vault_b, debug=args.debug)
        other.require()
    old = choose(vault, selectors[0], args.service, args.account)
    new = choose(other, selectors[1], args.service, args.account)
    if old.path.service != new.path.service:
        raise InvalidArgumentError(
            f"{old.backup_id} is of {old.path.service}, {new.backup_id} of {new.path.service}."
        )
    if old.manifest.scope != new.manifest.scope:
        text.complain(f"The two were not asked for the same: {old.group} and {new.group}.")
    if old.path.service == "xenioo":
        return _bots((vault, old), (other, new), identities, args)
    return _entities((vault, old), (other, new), identities, args)


# -- Xray ----------------------------------------------------------------------------------------------------


def _entities(
    old: tuple[Vault, Backup], new: tuple[Vault, Backup], identities: Identities | None, args: argparse.Namespace
) -> int:
    from airflow_provider_xbackup.contents.differences import Differences
    from airflow_provider_xbackup.vault.inside import Inside

    code = errors.FINE
    with Differences() as differences:
        insides = [Inside(*each, identities, alone=args.alone) for each in (old, new)]
        for side, inside in zip(("old", "new"), insides, strict=True):
            for element in inside.elements():
                differences.add("old" if side == "old" else "new", element)
            for name, reason in inside.problems:
                text.complain(f"{name} of {inside.backup.backup_id} cannot be read as JSON ({reason}).")
                code = errors.FINDING
        if any(inside.backup.manifest.kind == "partial" for inside in insides):
            text.complain("A partial backup cannot tell what was deleted.")
        if args.json:
            _write_json(old[1], new[1], differences)
        else:
            _write_table(differences, everything=args.all)
    return code


def _write_json(old: Backup, new: Backup, differences: Differences) -> None:
    kinds = {kind: counts._asdict() for kind, counts in differences.counts().items()}
    head = {"a": old.backup_id, "b": new.backup_id, "kinds": kinds}
    text.write_object(head, changes=(change._asdict() for change in differences.changes()))


def _write_table(differences: Differences, *, everything: bool) -> None:
    from rich.table import Table

    counts = differences.counts()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Kind", overflow="fold")
    for heading in ("Added", "Removed", "Changed", "Same"):
        table.add_column(heading, no_wrap=True, justify="right")
    for kind, each in counts.items():
        table.add_row(text.cell(kind), *(text.cell(f"{number:,}") for number in each))
    console = text.console()
    console.print(table if counts else text.cell("Nothing that is known to be an entity is in either."))
    for kind, each in counts.items():
        differing = each.added + each.removed + each.changed
        if not differing:
            continue
        print()
        for change in differences.changes(kind, -1 if everything else _MOST_TOLD):
            print(text.safe(f"{change.what:8}{kind} {change.id or '-'}  project {change.project}"))
        if differing > _MOST_TOLD and not everything:
            print(text.safe(f"and {differing - _MOST_TOLD:,} more {kind}: --all names them"))


# -- Xenioo --------------------------------------------------------------------------------------------------


def _bots(
    old: tuple[Vault, Backup], new: tuple[Vault, Backup], identities: Identities | None, args: argparse.Namespace
) -> int:
    from airflow_provider_xbackup.contents.sameness import compare
    from airflow_provider_xbackup.vault.plain import plain_blocks

    first, second = (
        b"".join(plain_blocks(vault.store, backup.path, backup.manifest.artifacts[0], identities))
        for vault, backup in (old, new)
    )
    comparison = compare(first, second, most=sys.maxsize if args.json or args.all else _MOST_TOLD)
    if args.json:
        value = {
            "a": old[1].backup_id,
            "b": new[1].backup_id,
            "count": comparison.count,
            "new_ids": comparison.new_ids,
            "changes": [{"what": each.what, "path": each.path} for each in comparison.differences],
        }
        sys.stdout.write(json.dumps(value) + "\n")
    else:
        _write_places(comparison)
    return errors.FINE


def _write_places(comparison: Comparison) -> None:
    for each in comparison.differences:
        print(text.safe(f"{each.what:8}{each.path or '/'}"))
    if comparison.count > len(comparison.differences):
        print(f"and {comparison.count - len(comparison.differences):,} more: --all names them")
    if comparison.identical:
        print("The two are the same byte for byte.")
    elif comparison.same:
        print("The two hold the same.")
    if comparison.new_ids:
        print(f"{text.count(comparison.new_ids, 'id')} differ, each in the same way wherever it stands.")
