"""Vaults that earlier releases have written, and this one too, stay readable: see make_vault.py."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest
from moto.server import ThreadedMotoServer

from airflow_provider_xbackup import __version__
from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.expire import Outlook, plan_retention
from airflow_provider_xbackup.vault.fetch import fetch
from airflow_provider_xbackup.vault.identities import read_identity_file

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
IDENTITY = HERE.parent / "vault" / "age" / "identity.txt"
THIS = HERE / __version__
RELEASES = sorted(each.parent for each in HERE.glob("*/expected.json"))


@dataclass(frozen=True)
class Released:
    """A copy of a released vault.

    :param url: where it is
    :param expected: what its makers knew of every backup
    :param same_place: whether it lies where it was written, so that its checks still count
    """

    url: str
    expected: list[dict[str, Any]]
    same_place: bool

    @property
    def vault(self) -> Vault:
        return Vault.open(self.url)

    def backup(self, expected: dict[str, Any]) -> Any:
        found = self.vault.find(expected["service"], expected["account"], expected["backup_id"])
        assert found
        return found


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def on_disk(release: Path, request: pytest.FixtureRequest) -> str:
    place = request.getfixturevalue("tmp_path") / "vault"
    shutil.copytree(release / "vault", place)
    return place.as_uri()


def on_s3(release: Path, request: pytest.FixtureRequest) -> str:
    patch = request.getfixturevalue("monkeypatch")
    patch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_server"))
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="released")
    for file in (release / "vault").rglob("*"):
        if file.is_file():
            client.put_object(Bucket="released", Key=str(file.relative_to(release)), Body=file.read_bytes())
    return "s3://released/vault"


PLACES = {"disk": on_disk, "s3": on_s3}


@pytest.fixture(
    params=[pytest.param((each, place), id=f"{each.name}-{place}") for each in RELEASES for place in PLACES]
)
def released(request: pytest.FixtureRequest) -> Iterator[Released]:
    release, place = request.param
    url = PLACES[place](release, request)
    yield Released(url, json.loads((release / "expected.json").read_text()), same_place=place == "s3")
    if place == "s3":
        bucket = boto3.resource("s3").Bucket("released")
        bucket.objects.delete()
        bucket.delete()


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run ``xbackup`` and read the JSON that it writes."""

    def told(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        ended = main([*arguments, "--json"])
        out, err = capsys.readouterr()
        assert ended == code, err
        return json.loads(out)

    return told


def content(folder: Path) -> dict[str, dict[str, Any]]:
    """The files of a fetched backup by role, as ``expected.json`` tells of them."""
    files = (path for path in folder.iterdir() if path.name != "manifest.json")
    return {
        path.stem: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in files
    }


def test_there_is_a_vault_of_this_release_to_read():
    assert THIS in RELEASES


def test_every_backup_is_listed_as_what_it_is(released: Released, told: Callable[..., Any]):
    listed = told("list", released.url, "--checks")

    facts = ("service", "account", "backup_id", "kind", "state", "verified")
    found = {tuple(each[fact] for fact in facts) for each in listed}
    expected = [each | {"verified": each["verified"] and released.same_place} for each in released.expected]
    assert found == {tuple(each[fact] for fact in facts) for each in expected}
    assert len(listed) == len(released.expected)


def test_every_backup_is_shown(released: Released, told: Callable[..., Any]):
    for each in released.expected:
        shown = told("show", released.url, each["backup_id"])

        assert each["backup_id"] in json.dumps(shown)


def test_the_content_of_every_backup_passes_but_that_of_a_suspect(released: Released, told: Callable[..., Any]):
    checks = told("verify", released.url, "--level", "content", "--identity", str(IDENTITY), code=1)

    live = [each for each in released.expected if each["state"] != "expired"]
    passed = {each["backup_id"]: each["check"]["passed"] for each in checks}
    assert passed == {each["backup_id"]: each["state"] != "suspect" for each in live}


def test_the_files_of_every_backup_are_what_the_vendor_had_sent(released: Released, tmp_path: Path):
    for each in released.expected:
        fetched = fetch(released.vault, released.backup(each), tmp_path, read_identity_file(IDENTITY))

        assert content(fetched.folder) == each["files"]


def test_retention_knows_what_has_become_of_every_backup(released: Released):
    newest = max(backup.manifest.completed_at for backup in released.vault.backups())

    outlook = Outlook.of(
        plan_retention(
            released.vault,
            RetentionPolicy(keep_last=1),
            now=newest + timedelta(minutes=1),
            grace=timedelta(days=3),
        )
    )

    decided = {decision.entry.backup_id: decision for plan in outlook.plans for decision in plan.decisions}
    assert decided.keys() == {each["backup_id"] for each in released.expected}
    assert not outlook.findings
    for each in released.expected:
        if each["state"] == "held":
            assert "held" in " ".join(decided[each["backup_id"]].reasons)
        if each["state"] == "expired":
            assert decided[each["backup_id"]].entry.expired_at


def test_a_copy_of_it_in_another_vault_is_whole(released: Released, told: Callable[..., Any], tmp_path: Path):
    target = (tmp_path / "copy").as_uri()
    assert main(["replicate", released.url, target]) == 0

    live = [each for each in released.expected if each["state"] != "expired"]
    copies = {each["backup_id"]: each["state"] for each in told("list", target)}
    assert copies == {each["backup_id"]: each["state"] for each in live}
    for each in live:
        copy = Vault.open(target).find(each["service"], each["account"], each["backup_id"])
        fetched = fetch(Vault.open(target), copy, tmp_path, read_identity_file(IDENTITY))
        assert content(fetched.folder) == each["files"]


SCHEMAS = {name: json.loads((DOCS / f"{name}.schema.json").read_text()) for name in ("manifest", "records")}


def described(release: Path, schema: str) -> list[Any]:
    """Read the files of a release that one of the published schemas describes."""
    files = (each for each in release.glob("vault/*/*/*/**/*.json") if not each.name.startswith("bot."))
    return [json.loads(each.read_text()) for each in files if (each.stem == "manifest") == (schema == "manifest")]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_the_published_schemas_describe_it(release: Path, schema: str):
    values = described(release, schema)

    assert values
    for value in values:
        jsonschema.validate(value, SCHEMAS[schema])


def fields_of(schema: dict[str, Any]) -> set[str]:
    """Name the fields that a schema knows, but for those that say which one it is."""
    objects = [each for each in (schema, *schema["$defs"].values()) if "properties" in each]
    return {f"{each['title']}.{name}" for each in objects for name in each["properties"] if name != "schema"}


def fields_told_in(values: list[Any], schema: dict[str, Any]) -> set[str]:
    """Name the fields of a schema that one of the values fills with something else than the default."""
    told = set()
    each_property = jsonschema.Draft202012Validator.VALIDATORS["properties"]

    def note(validator: Any, properties: Any, value: Any, within: Any) -> Iterator[jsonschema.ValidationError]:
        errors = list(each_property(validator, properties, value, within))
        # Where there are errors the value is of another kind, and this one was only tried.
        if isinstance(value, dict) and not errors:
            told.update(
                f"{within['title']}.{name}"
                for name, field in properties.items()
                if name in value and value[name] != field.get("default")
            )
        yield from errors

    reader = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"properties": note})(schema)
    for value in values:
        reader.validate(value)
    return told


@pytest.mark.parametrize("schema", SCHEMAS)
def test_this_release_left_a_value_in_every_field_that_it_may_write(schema: str):
    """A default would prove nothing: that is what a later release takes where there is no such field."""
    forgotten = fields_of(SCHEMAS[schema]) - fields_told_in(described(THIS, schema), SCHEMAS[schema])

    assert not forgotten, "make_vault.py tells no story in which they are written"


def rewritten(released: Released, change: Callable[[Any], Any]) -> None:
    """Change every manifest and record of a vault on disk."""
    for file in Path(released.vault.url.prefix).glob("*/*/*/**/*.json"):
        if file.name == "manifest.json" or not file.name.startswith("bot."):
            file.write_text(json.dumps(change(json.loads(file.read_text()))))


def with_more_fields(value: Any) -> Any:
    if isinstance(value, list):
        return [with_more_fields(each) for each in value]
    if not isinstance(value, dict) or not value or set(map(type, value.values())) == {int}:
        return value
    return {"new_field": {"of": ["a later", "release"]}} | {name: with_more_fields(value[name]) for name in value}


on_disk_only = pytest.mark.parametrize(
    "released", [pytest.param((each, "disk"), id=each.name) for each in RELEASES], indirect=True
)


@on_disk_only
def test_fields_of_a_later_release_change_nothing(released: Released, told: Callable[..., Any], tmp_path: Path):
    before = told("list", released.url, "--checks")
    rewritten(released, lambda value: with_more_fields(value) | {"schema": f"{value['schema']}.7"})

    assert told("list", released.url, "--checks") == before
    test_the_files_of_every_backup_are_what_the_vendor_had_sent(released, tmp_path)
    test_retention_knows_what_has_become_of_every_backup(released)


@on_disk_only
def test_a_later_format_is_refused_by_name_and_touched_by_nothing(
    released: Released, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    rewritten(released, lambda value: value | {"schema": value["schema"].replace("/v1", "/v2")})
    place = Path(released.vault.url.prefix)
    files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    some = released.expected[0]["backup_id"]

    for arguments in (
        ["list", released.url],
        ["show", released.url, some],
        ["fetch", released.url, some, str(tmp_path / "fetched")],
        ["retention", "apply", released.url, "--keep-last", "1"],
    ):
        capsys.readouterr()
        assert main(arguments) != 0, arguments
        assert "xbackup/manifest/v2" in capsys.readouterr().err, arguments

    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == files
