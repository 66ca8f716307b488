"""Servers that speak S3."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from servers import emulators
from servers.authority import Authority
from servers.radosgw import Radosgw, radosgw

from kinds.kind import CONN_ID, PREFIX, REGION, numbers


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
        bucket = f"bucket{next(numbers)}"  # a hyphen of GCS's client is an escape that moto does not undo
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
        yield moto_at(port)


@contextlib.contextmanager
def signed_moto(folder: Path, authority: Authority) -> Iterator[S3]:
    """moto's S3 with signatures and rights checked, and a user that may do everything.

    It takes the signature of a list below a prefix with a space or an umlaut for a wrong one.
    """
    with emulators.moto(folder) as port:
        owner = moto_at(port).make_user("owner", EVERYTHING)
        emulators.enforce(port)
        yield replace(moto_at(port), **owner, prefix="vault")


def moto_at(port: int) -> S3:
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
