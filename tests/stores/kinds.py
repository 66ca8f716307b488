"""The stores under test: how each is started, reached through a connection, and looked into from behind."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from botocore.config import Config
from servers import emulators
from servers.authority import Authority
from servers.proxy import Answer, Request, Send, proxy
from servers.radosgw import Radosgw, radosgw
from servers.tokens import Tokens, private_key, tokens

CONN_ID = "store"
REGION = "us-east-1"
PREFIX = "some prefix/ü"
_numbers = itertools.count(1)


class Kind(Protocol):
    """A store under test, running.

    :param column: what it is called in the table
    :param lacks: what it does not have, and why
    """

    column: str
    lacks: Mapping[str, str]

    @property
    def facts(self) -> Mapping[str, str]:
        """Name the versions that matter."""

    @property
    def address(self) -> str:
        """The URL of its root; empty for a disk."""

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        """Make a bucket that nobody has used."""

    def url(self, bucket: str) -> str:
        """The vault's URL, with the connection in it."""

    def connection(self, address: str = "") -> dict[str, Any] | None:
        """Airflow's connection; None where none is needed. The address is that of a proxy in front."""

    def wrong_connection(self, which: str) -> dict[str, Any]:
        """Airflow's connection with an ``unknown user`` or a ``wrong secret``."""

    def environment(self, address: str = "") -> Mapping[str, str]:
        """What stands in the environment besides."""

    def keys(self, bucket: str) -> list[str]:
        """Name all objects, as the store itself knows them."""

    def unfinished(self, bucket: str) -> list[str]:
        """Name writes that have begun and not ended."""


# -- disk --------------------------------------------------------------------------------------------------


@dataclass
class Disk:
    """A folder."""

    folder: Path
    column: str = "local disk"
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "network": "a disk has no network in between",
            "credentials": "the worker's user opens a disk, no credentials do",
            "versions": "a disk keeps no versions",
            "locks": "a disk locks nothing",
            "buckets": "a folder is made when it is missing",
        }
    )
    address: str = ""

    @property
    def facts(self) -> Mapping[str, str]:
        return {}

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        bucket = f"folder-{next(_numbers)}"
        (self.folder / bucket).mkdir(parents=True)
        return bucket

    def url(self, bucket: str) -> str:
        return (self.folder / bucket / PREFIX).as_uri()

    def connection(self, address: str = "") -> None:
        return None

    def wrong_connection(self, which: str) -> dict[str, Any]:
        raise NotImplementedError

    def environment(self, address: str = "") -> Mapping[str, str]:
        return {}

    def keys(self, bucket: str) -> list[str]:
        return [name for name in self._files(bucket) if "#" not in name.rpartition("/")[2]]

    def unfinished(self, bucket: str) -> list[str]:
        return [name for name in self._files(bucket) if "#" in name.rpartition("/")[2]]

    def _files(self, bucket: str) -> list[str]:
        root = self.folder / bucket
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


# -- S3 ----------------------------------------------------------------------------------------------------


@dataclass
class S3:
    """A server that speaks S3.

    :param login: a user's key id
    :param password: its secret
    :param account: of its users
    :param prefix: of the vaults
    """

    column: str
    address: str
    login: str
    password: str
    facts: Mapping[str, str]
    lacks: Mapping[str, str] = field(default_factory=dict)
    account: str = emulators.ACCOUNT
    prefix: str = PREFIX

    def client(self, service: str = "s3", **options: Any) -> Any:
        """A client of boto3's with the user's rights, for looking behind."""
        given = {
            "endpoint_url": self.address,
            "region_name": REGION,
            "aws_access_key_id": self.login,
            "aws_secret_access_key": self.password,
            "config": Config(s3={"addressing_style": "path"}),
        }
        return boto3.client(service, **(given | options))

    @cached_property
    def s3(self) -> Any:
        """A client for S3."""
        return self.client()

    def user(self, name: str) -> str:
        """The ARN of a user."""
        return f"arn:aws:iam::{self.account}:user/{name}"

    def make_user(self, name: str, *may: Mapping[str, Any]) -> dict[str, str]:
        """Make a user, or give one another key.

        :param name: the user
        :param may: statements of what the user may do besides what buckets allow
        :return: the key, as a connection has it
        """
        iam = self.client("iam")
        with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_user(UserName=name)
        if may:
            iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=policy(*may))
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"login": key["AccessKeyId"], "password": key["SecretAccessKey"]}

    def client_of(self, key: Mapping[str, str]) -> Any:
        """A client for S3 with a user's key."""
        return self.client(aws_access_key_id=key["login"], aws_secret_access_key=key["password"])

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        bucket = f"bucket{next(_numbers)}"  # a hyphen of GCS's client is an escape that moto does not undo
        self.s3.create_bucket(Bucket=bucket, **({"ObjectLockEnabledForBucket": True} if lock else {}))
        if versions:
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    def url(self, bucket: str) -> str:
        return f"s3://{CONN_ID}@{bucket}/{self.prefix}"

    def connection(self, address: str = "", **extra: Any) -> dict[str, Any]:
        extra = {"endpoint_url": address or self.address, "region_name": REGION, **extra}
        return {"conn_type": "aws", "login": self.login, "password": self.password, "extra": extra}

    def wrong_connection(self, which: str) -> dict[str, Any]:
        wrong = {"login": "AKIA0000000000000000"} if which == "unknown user" else {"password": "a-wrong-secret"}
        return self.connection() | wrong

    def environment(self, address: str = "") -> Mapping[str, str]:
        return {}

    def keys(self, bucket: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        names = (found["Key"] for page in pages for found in page.get("Contents", ()))
        return [name for name in names if not name.endswith("/")]  # as juicefs lists empty folders

    def unfinished(self, bucket: str) -> list[str]:
        # juicefs lists uploads of one object only, and the tests use these two.
        prefixes = ("",) if "uploads" not in self.lacks else (f"{PREFIX}/a/b.zip", f"{PREFIX}/x")
        pages = (self.s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix) for prefix in prefixes)
        return [found["Key"] for page in pages for found in page.get("Uploads", ())]

    def versions(self, bucket: str, path: str) -> tuple[list[str], list[str]]:
        """The versions and the delete markers of an object, by their ids."""
        found = self.s3.list_object_versions(Bucket=bucket, Prefix=f"{PREFIX}/{path}")
        return tuple([each["VersionId"] for each in found.get(name, ())] for name in ("Versions", "DeleteMarkers"))  # type: ignore[return-value]


def policy(*statements: Any) -> str:
    """Word a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@contextlib.contextmanager
def moto(folder: Path, authority: Authority) -> Iterator[S3]:
    """moto's S3, which takes any credentials."""
    with emulators.moto(folder) as port:
        yield _moto(port)


@contextlib.contextmanager
def signed_moto(folder: Path, authority: Authority) -> Iterator[S3]:
    """moto's S3 with signatures and rights checked, and a user that may do everything.

    It takes the signature of a list below a prefix with a space or an umlaut for a wrong one.
    """
    with emulators.moto(folder) as port:
        owner = _moto(port).make_user("owner", EVERYTHING)
        emulators.enforce(port)
        yield replace(_moto(port), **owner, prefix="vault")


def _moto(port: int) -> S3:
    return S3(
        "moto",
        f"http://127.0.0.1:{port}",
        emulators.ROOT,
        emulators.ROOT_SECRET,
        {"moto": emulators.moto_version()},
        {
            "digests": "moto does not compare bodies with their digests",
            "lock queries": "moto does not tell the lock of an object (GetObjectRetention)",
            "lasting locks": "moto lets a lock in compliance mode be shortened",
            "bypass rights": "moto does not ask for the right to bypass governance",
            "bypass denials": "moto does not ask for the right to bypass governance",
            "clock": "moto does not look at when a request was signed",
        },
    )


@contextlib.contextmanager
def ministack(folder: Path, authority: Authority) -> Iterator[S3]:
    """ministack's S3, with a user that may do everything."""
    with emulators.ministack(folder) as port:
        facts = {"ministack": emulators.ministack_version()}
        lacks = {"digests": "ministack compares the checksums that are asked for, and no other digests"}
        root = S3("ministack", f"http://127.0.0.1:{port}", emulators.ROOT, "any", facts, lacks)
        yield replace(root, **root.make_user("owner", EVERYTHING))


@dataclass
class Ceph(S3):
    """Ceph's gateway, which is more than an S3 server to the tests.

    :param gateway: the server
    """

    gateway: Radosgw = None  # type: ignore[assignment]
    account: str = ""

    def make_user(self, name: str, *may: Mapping[str, Any]) -> dict[str, str]:
        """Make a user, whose key stays the same; what one may do besides what buckets allow, roles say here."""
        assert not may
        key = {"login": name, "password": f"the-secret-of-{name}"}
        with contextlib.suppress(RuntimeError):  # of an earlier test
            self.gateway.make_user(name, key["password"])
        return key


@contextlib.contextmanager
def ceph(folder: Path, authority: Authority) -> Iterator[Ceph]:
    """Ceph's S3 gateway."""
    certificate, key = authority.files(folder)
    with radosgw(folder, certificate, key) as gateway:
        gateway.make_user("owner", emulators.ROOT_SECRET, caps="roles=*;user-policy=*")
        yield Ceph(
            "Ceph radosgw",
            f"http://127.0.0.1:{gateway.port}",
            "owner",
            emulators.ROOT_SECRET,
            {"radosgw": gateway.version},
            {
                "conditions on versions": "radosgw ignores If-None-Match where a bucket keeps versions",
                "bypass rights": "radosgw lets who may destroy versions bypass governance, unless that is denied",
            },
            gateway=gateway,
        )


@contextlib.contextmanager
def juicefs(folder: Path, authority: Authority) -> Iterator[S3]:
    """juicefs' S3 gateway."""
    with emulators.juicefs(folder) as port:
        yield S3(
            "juicefs gateway",
            f"http://127.0.0.1:{port}",
            emulators.ROOT,
            emulators.ROOT_SECRET,
            {"juicefs": emulators.juicefs_version()},
            {
                "conditions": "juicefs ignores If-None-Match",
                "uploads": "juicefs lists no open uploads below a folder",
                "versions": "juicefs keeps no versions",
                "locks": "juicefs locks nothing",
            },
        )


# -- Azure -------------------------------------------------------------------------------------------------

AZURE_ACCOUNT = "devstoreaccount1"
#: Published with the emulator.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass
class Azure:
    """Azure's Blob service, emulated."""

    root: str
    facts: Mapping[str, str]
    column: str = "Azurite"
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "versions": "on Azure versions are the store's own business",
            "locks": "lock_for is for S3",
            "digests": "obstore sends no digests to Azure",
            "uploads": "Azure discards unfinished blocks by itself, and does not list them",
            "beginnings": "no request begins an upload on Azure, blocks are sent at once",
            "clock": "Azurite does not look at when a request was signed",
        }
    )

    @property
    def address(self) -> str:
        return f"{self.root}/{AZURE_ACCOUNT}"

    @cached_property
    def service(self) -> BlobServiceClient:
        """Azure's own client, for looking behind."""
        return BlobServiceClient(self.address, credential=AZURE_KEY)

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        bucket = f"container-{next(_numbers)}"
        with contextlib.suppress(ResourceExistsError):
            self.service.create_container(bucket)
        return bucket

    def url(self, bucket: str) -> str:
        return f"abfs://{CONN_ID}@{bucket}/{PREFIX}"

    def connection(self, address: str = "") -> dict[str, Any]:
        host = f"{address}/{AZURE_ACCOUNT}" if address else self.address
        return {"conn_type": "wasb", "host": host, "login": AZURE_ACCOUNT, "password": AZURE_KEY}

    def wrong_connection(self, which: str) -> dict[str, Any]:
        if which == "unknown user":  # one who made his token himself
            token = "sv=2021-08-06&ss=b&srt=sco&sp=rwdlac&se=2050-01-01T00:00:00Z&sig=c2lnbmF0dXJl"
            return {"conn_type": "wasb", "host": self.address, "extra": {"sas_token": token}}
        return self.connection() | {"password": base64.b64encode(b"a wrong key" * 6).decode()}

    def environment(self, address: str = "") -> Mapping[str, str]:
        return {}

    def keys(self, bucket: str) -> list[str]:
        return list(self.service.get_container_client(bucket).list_blob_names())

    def unfinished(self, bucket: str) -> list[str]:
        found = self.service.get_container_client(bucket).list_blobs(include=["uncommittedblobs"])
        return [blob.name for blob in found if blob.etag is None]


@contextlib.contextmanager
def azurite(folder: Path, authority: Authority) -> Iterator[Azure]:
    """Azurite."""
    with emulators.azurite(folder) as port:
        yield Azure(f"http://127.0.0.1:{port}", {"Azurite": emulators.azurite_version()})


# -- Google ------------------------------------------------------------------------------------------------


@dataclass
class Google:
    """The client for Google Cloud Storage, which speaks GCS's XML API, on moto's S3.

    :param below: moto
    :param front: the address of what makes S3's words of Google's
    :param tokens: who hands out its bearer tokens
    """

    below: S3
    front: str
    tokens: Tokens
    column: str = "GCS client on moto"
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "versions": "on GCS versions are the store's own business",
            "locks": "lock_for is for S3",
            "digests": "obstore sends no digests to GCS",
            "uploads": "open uploads are not looked for on GCS",
            "repeated beginnings": "the GCS client does not repeat a request that begins an upload",
        }
    )

    @property
    def facts(self) -> Mapping[str, str]:
        return self.below.facts

    @property
    def address(self) -> str:
        return self.front

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        return self.below.new_bucket()

    def url(self, bucket: str) -> str:
        return f"gs://{CONN_ID}@{bucket}/{PREFIX}"

    def connection(self, address: str = "") -> dict[str, Any]:
        return _google(self.tokens.keyfile())

    def wrong_connection(self, which: str) -> dict[str, Any]:
        if which == "unknown user":
            return _google(self.tokens.keyfile(client_email="stranger@project.iam.gserviceaccount.com"))
        return _google(self.tokens.keyfile(private_key=private_key()))

    def environment(self, address: str = "") -> Mapping[str, str]:
        return {"STORAGE_EMULATOR_HOST": address or self.front}

    def keys(self, bucket: str) -> list[str]:
        return self.below.keys(bucket)

    def unfinished(self, bucket: str) -> list[str]:
        return self.below.unfinished(bucket)


def _google(keyfile: Mapping[str, Any]) -> dict[str, Any]:
    return {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": json.dumps(keyfile)}}


@contextlib.contextmanager
def google(folder: Path, authority: Authority) -> Iterator[Google]:
    """The GCS client, on a moto of its own."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(emulators.moto(folder))
        below = _moto(port)
        service = stack.enter_context(tokens())

        def demand_token(request: Request, send: Send) -> Answer:
            """Let in whom the token service has given a token."""
            given = (request.header("Authorization") or "").removeprefix("Bearer ")
            if given not in service.given:
                return Answer(401, (("Content-Length", "0"),))
            return send(request)

        def translate(request: Request, send: Send) -> Answer:
            """Word the condition of a write as S3 does."""
            if request.header("x-goog-if-generation-match") == "0":
                request = request.with_header("If-None-Match", "*")
            return send(request)

        front = stack.enter_context(proxy(port, demand_token, translate))
        yield Google(below, front.address, service)


#: How each is started, by the name it has as a parameter.
STARTS: Mapping[str, Any] = {
    "moto": moto,
    "signed moto": signed_moto,
    "ministack": ministack,
    "google": google,
    "radosgw": ceph,
    "juicefs": juicefs,
    "azurite": azurite,
}
COLUMNS = {
    "disk": "local disk",
    "moto": "moto",
    "ministack": "ministack",
    "google": "GCS client on moto",
    "radosgw": "Ceph radosgw",
    "juicefs": "juicefs gateway",
    "azurite": "Azurite",
}
#: Where it matters who asks, moto is one that looks at it.
CHECKING = tuple("signed moto" if name == "moto" else name for name in COLUMNS)
#: Those that the registry of Python packages brings.
INSIDE = ("disk", "moto", "signed moto", "ministack", "google")


def stores(*names: str, slow: Collection[str] = ()) -> list[Any]:
    """Parameters of the fixture ``kind``.

    :param names: these stores; none for all of the table
    :param slow: those with which the test takes too long for every run
    """
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.column(COLUMNS[name.removeprefix("signed ")]),
                pytest.mark.xdist_group(f"store-{name}"),
                *([] if name in INSIDE and name not in slow else [pytest.mark.stores]),
            ],
        )
        for name in names or COLUMNS
    ]
