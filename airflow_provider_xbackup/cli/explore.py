"""Look into a backup of Xray, and bring tests out of it.

Xray has no restore. Without more, tell how many entities each project has. With --kind, --search, --test or
--tests-from, show those: a line for each entity, or with the last two whole tests. With --export, write the tests
chosen by --project, --search, --test and --tests-from to FILE in the form that Xray's bulk import takes. A partial
backup is laid over the full one that it builds on. With --json JSON Lines, an object a line: project, kind and
count; or project, kind, id and entity, as it stands in the backup; with --search also matches (path, excerpt),
with --test also attachments (id, filename, present). With --export one object: files (path, tests), tests and
left_out (what, tests); with --attachments also attachments (their paths), missing (ids) and ambiguous (id,
entries).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.cli import errors, keys, text, vaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_xbackup.contents.elements import Element
    from airflow_provider_xbackup.contents.entities import EntityFile
    from airflow_provider_xbackup.contents.search import Match
    from airflow_provider_xbackup.vault.export import ExportedAttachments, ExportedTests
    from airflow_provider_xbackup.vault.inside import Inside

NAME = "explore"
HELP = "look into a backup of Xray, and bring tests out of it"

_MOST_MATCHES = 3
_LONGEST_TITLE = 80
_TITLES = ("summary", "name", "path", "key")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_backup(parser)
    parser.add_argument(
        "--project", action="append", metavar="ID", help="only this Jira project id; may be repeated"
    )
    parser.add_argument(
        "--kind", metavar="KIND", help="list the entities of this kind, for example tests or testSets"
    )
    parser.add_argument("--search", metavar="TEXT", help="list the entities that hold this text, in any case")
    parser.add_argument("--test", action="append", metavar="ID", help="show this test; may be repeated")
    parser.add_argument(
        "--tests-from",
        dest="test",
        action="extend",
        type=_ids,
        metavar="LIST",
        help="as --test with every id that stands in this file, one a line; - for the standard input",
    )
    parser.add_argument(
        "--export", metavar="FILE", help="write the tests for POST /api/v2/import/test/bulk, 1,000 to a file"
    )
    parser.add_argument("--attachments", metavar="DIR", help="write the attachments of the tests to DIR/TEST/NAME")
    parser.add_argument(
        "--project-key",
        metavar="KEY",
        help="with --export: the project to make them in (default: by its id, the old)",
    )
    parser.add_argument("--alone", action="store_true", help="look at a partial backup without the full one below")
    keys.add_identity(parser)
    parser.add_argument(
        "--json", action="store_true", help="write JSON Lines, an object a line; with --export one object"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.choose import Selector, choose
    from airflow_provider_xbackup.vault.inside import Inside

    selector = Selector.parse(args.backup_id)
    exports = args.export is not None or args.attachments is not None
    if args.project_key is not None and args.export is None:
        raise InvalidArgumentError("--project-key says where --export puts tests; there is no --export.")
    if (exports or args.test is not None) and args.kind and args.kind.lower() != "tests":
        raise InvalidArgumentError(f"--test, --export and --attachments are about tests, not about {args.kind!r}.")
    if args.search is not None and not args.search.strip():
        raise InvalidArgumentError("--search takes a text that is not empty.")
    if args.test == []:
        text.complain("--tests-from names no test.")
    identities = keys.read_identities(args)
    vault = vaults.open_vault(args)
    # Only backups of Xray can be looked into; of an id that is a bot's, Inside says so.
    service = args.service or ("xray" if selector.backup_id is None else None)
    inside = Inside(vault, choose(vault, selector, service, args.account), identities, alone=args.alone)
    _tell_of_layers(inside)
    if exports:
        return _export(inside, args)
    if args.test is not None:
        return _show(inside, args)
    if args.kind or args.search is not None:
        return _list(inside, args)
    return _count(inside, args)


# -- choosing ------------------------------------------------------------------------------------------------


def _ids(name: str) -> list[str]:
    """Read ids from a file, one a line; for argparse's ``type``.

    A list of ids can be longer than a command line may be.
    """
    try:
        lines = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "no UTF-8"
        raise argparse.ArgumentTypeError(f"{name!r} cannot be read: {reason}") from None
    return lines.split()


def _want(args: argparse.Namespace, kind: str | None) -> Callable[[EntityFile], bool]:
    """Tell which files of a backup are of interest."""
    projects = None if args.project is None else set(args.project)
    wanted = None if kind is None else kind.lower()

    def want(file: EntityFile) -> bool:
        return (projects is None or file.project in projects) and wanted in (None, file.entity.lower())

    return want


def _tests(inside: Inside, args: argparse.Namespace, found: set[str]) -> Iterator[Element]:
    """Read the tests that were chosen, and note which of the ids were found."""
    wanted = None if args.test is None else frozenset(args.test)
    for element in inside.elements(_want(args, "tests")):
        if wanted is not None:
            named = wanted & element.names
            if not named:
                continue
            found |= named
        if args.search is None or any(_matches(element, args.search)):
            yield element


def _matches(element: Element, wanted: str) -> Iterator[Match]:
    from airflow_provider_xbackup.contents.search import matches

    return matches(element.value, wanted)


# -- telling -------------------------------------------------------------------------------------------------


def _count(inside: Inside, args: argparse.Namespace) -> int:
    counts = Counter((element.project, element.kind) for element in inside.elements(_want(args, None)))
    rows = sorted(counts.items())
    if args.json:
        for (project, kind), count in rows:
            _write({"project": project, "kind": kind, "count": count})
        return _ended(inside)
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Project", overflow="fold")
    table.add_column("Kind", overflow="fold")
    table.add_column("Count", no_wrap=True, justify="right")
    for (project, kind), count in rows:
        table.add_row(text.cell(project), text.cell(kind), text.cell(f"{count:,}"))
    console = text.console()
    console.print(table if rows else text.cell("Nothing that is known to be an entity is in it."))
    if inside.has_attachments and args.project is None:
        names = inside.attachment_names()
        console.print()
        told = "The attachments are encrypted: --test ID --attachments DIR reads them."
        if names is not None:
            told = f"{text.count(len(set(names)), 'attachment')} of all projects"
        console.print(text.cell(told), soft_wrap=True)
    return _ended(inside)


def _list(inside: Inside, args: argparse.Namespace) -> int:
    number = 0
    for element in inside.elements(_want(args, args.kind)):
        found = None if args.search is None else list(_matches(element, args.search))
        if found == []:
            continue
        number += 1
        if args.json:
            more = {} if found is None else {"matches": [match._asdict() for match in found]}
            _write(_as_json(element) | more)
            continue
        print(
            text.safe(f"{element.kind} {element.id or '-'}  project {element.project}  {_title(element)}".rstrip())
        )
        for match in (found or [])[:_MOST_MATCHES]:
            print(text.safe(f"    {match.path}: {match.excerpt}"))
        if found and len(found) > _MOST_MATCHES:
            print(f"    and {text.count(len(found) - _MOST_MATCHES, 'place')} more")
    if not number:
        text.complain("Nothing was found." if args.search is not None else f"It holds no {args.kind}.")
    return max(_ended(inside), errors.FINE if number else errors.FINDING)


def _show(inside: Inside, args: argparse.Namespace) -> int:
    from airflow_provider_xbackup.contents.bulkimport import attachments_of

    found: set[str] = set()
    tests = list(_tests(inside, args, found))
    attachments = {attachment.id for test in tests for attachment in attachments_of(test.value)}
    present = _present(inside, attachments) if attachments else frozenset()
    for test in tests:
        listed = [
            {"id": each.id, "filename": each.filename, "present": None if present is None else each.id in present}
            for each in attachments_of(test.value)
        ]
        if args.json:
            _write(_as_json(test) | {"attachments": listed})
        else:
            _print_test(test, listed)
    return max(_ended(inside), _tell_of_missing(args, found), errors.FINE if tests else errors.FINDING)


def _present(inside: Inside, wanted: set[str]) -> frozenset[str] | None:
    """Tell which attachments are there; None where it takes reading all of them."""
    from airflow_provider_xbackup.contents.references import names_of_blob

    names = inside.attachment_names()
    if names is None:
        return None
    return frozenset(each for name in names for each in names_of_blob(name) if each in wanted)


def _print_test(test: Element, attachments: list[dict[str, Any]]) -> None:
    value = test.value
    print(text.safe(f"Test {test.id}  project {test.project}"))
    for name, field in value.items():
        if name in ("id", "projectId", "steps"):
            continue
        shown = field if isinstance(field, str) else json.dumps(field, ensure_ascii=False)
        for number, line in enumerate(shown.splitlines() or [""]):
            print(text.safe(f"  {name}: {line}" if not number else f"    {line}"))
    steps = value.get("steps")
    for number, step in enumerate(steps if isinstance(steps, list) else (), 1):
        print(f"  step {number}")
        for name, field in step.items() if isinstance(step, dict) else [("", step)]:
            if field in (None, "", []) or name == "attachments":
                continue
            print(text.safe(f"    {name}: {field if isinstance(field, str) else json.dumps(field)}"))
    words = {True: "in the backup", False: "not in the backup", None: "encrypted: not looked for"}
    for each in attachments:
        print(text.safe(f"  attachment {each['id']}  {each['filename'] or ''}  {words[each['present']]}"))
    print()


def _title(element: Element) -> str:
    """Return a few words by which people know an entity."""
    value = element.value if isinstance(element.value, dict) else {}
    steps = value.get("steps")
    first = steps[0] if isinstance(steps, list) and steps and isinstance(steps[0], dict) else {}
    found = (
        each for each in (*(value.get(name) for name in _TITLES), first.get("action")) if isinstance(each, str)
    )
    title = " ".join(next(found, "").split())
    return title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…"


def _as_json(element: Element) -> dict[str, Any]:
    return {"project": element.project, "kind": element.kind, "id": element.id, "entity": element.value}


def _write(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


# -- bringing out --------------------------------------------------------------------------------------------


def _export(inside: Inside, args: argparse.Namespace) -> int:
    from airflow_provider_xbackup.vault.export import attachments_named, export_attachments, export_tests

    found: set[str] = set()
    exported, placed = None, None
    if args.export is not None:
        exported = export_tests(
            inside,
            lambda: _tests(inside, args, found),
            Path(args.export),
            want=_want(args, None),
            project_key=args.project_key,
        )
        named = exported.attachments
    else:
        named = attachments_named(_tests(inside, args, found))
    ended = max(_ended(inside), _tell_of_missing(args, found))
    if args.attachments is not None:
        placed = export_attachments(inside, named, Path(args.attachments))
    if args.json:
        _write(_export_as_json(exported, placed))
    else:
        if exported is not None and exported.count:
            _tell_of_export(exported)
        if placed is not None:
            print(text.safe(f"{text.count(len(placed.files), 'attachment')} in {args.attachments}"))
    return max(ended, _complain_of_export(exported, placed))


def _complain_of_export(exported: ExportedTests | None, placed: ExportedAttachments | None) -> int:
    """Say what was to be written and was not."""
    complaints = []
    if exported is not None and not exported.count:
        complaints.append("No test was found; nothing was written.")
    if placed is not None:
        complaints += (f"The attachment {each} is not in the backup." for each in placed.missing)
        complaints += (
            f"Several files of the backup are the attachment {each}: {', '.join(entries)}. Which one is meant "
            "cannot be told, so none was written; 'xbackup fetch' gets the zip with all of them."
            for each, entries in placed.ambiguous.items()
        )
    for complaint in complaints:
        text.complain(complaint)
    return errors.FINDING if complaints else errors.FINE


def _files_of(exported: ExportedTests) -> Iterator[tuple[Path, int]]:
    """Tell how many tests each file holds."""
    from airflow_provider_xbackup.contents.bulkimport import MOST_TESTS

    for number, file in enumerate(exported.files):
        yield file, min(MOST_TESTS, exported.count - number * MOST_TESTS)


def _export_as_json(exported: ExportedTests | None, placed: ExportedAttachments | None) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if exported is not None:
        value |= {
            "files": [{"path": str(file), "tests": number} for file, number in _files_of(exported)],
            "tests": exported.count,
            "left_out": [{"what": what, "tests": count} for what, count in sorted(exported.left_out.items())],
        }
    if placed is not None:
        value |= {
            "attachments": [str(file) for file in placed.files],
            "missing": list(placed.missing),
            "ambiguous": [{"id": each, "entries": entries} for each, entries in placed.ambiguous.items()],
        }
    return value


def _tell_of_export(exported: ExportedTests) -> None:
    for file, number in _files_of(exported):
        print(text.safe(f"{file}  {text.count(number, 'test')}"))
    print("Send each file with POST /api/v2/import/test/bulk, one after the other: the tests get new ids.")
    for what, count in sorted(exported.left_out.items()):
        print(text.safe(f"Not in it, of {text.count(count, 'test')}: {what}."))


# -- what else there is to say -------------------------------------------------------------------------------


def _tell_of_layers(inside: Inside) -> None:
    backup = inside.backup
    for layer in inside.layers:
        if layer.state in ("suspect", "damaged", "incomplete"):
            text.complain(" ".join((f"The backup {layer.backup_id} is {layer.state}.", *layer.verdict.flaws)))
    if len(inside.layers) > 1:
        text.complain(
            f"The partial backup {backup.backup_id} is laid over {inside.layers[1].backup_id}: what was deleted "
            "between the two is still shown."
        )
    elif backup.manifest.kind == "partial":
        text.complain(f"The partial backup {backup.backup_id} holds changes only.")


def _tell_of_missing(args: argparse.Namespace, found: set[str]) -> int:
    missing = [each for each in args.test or () if each not in found]
    for each in missing:
        text.complain(f"There is no test {each} in it.")
    return errors.FINDING if missing else errors.FINE


def _ended(inside: Inside) -> int:
    """Tell of files that could not be read."""
    for name, reason in inside.problems:
        text.complain(f"{name} cannot be read as JSON ({reason}): what it holds is missing here.")
    return errors.FINDING if inside.problems else errors.FINE
