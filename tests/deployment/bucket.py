"""The vaults of the tests: an S3 server that is a process of its own, and what lies in its one bucket."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import requests
from processes import Processes, free_port, wait_for

_REGION = "us-east-1"
_PREPARATION = 5
"""Requests that need no signature: those that make the bucket and the user."""
_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@dataclass
class Bucket:
    """A bucket on moto, which checks who signs.

    :param processes: where the server runs
    """

    processes: Processes
    name: str = "xbackup-deployment"
    endpoint: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")
    _keys: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start the server, and make the bucket and a user for it."""
        port = self.endpoint.rpartition(":")[2]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_PREPARATION)}
        self.processes.start("object-store", command, environment)
        wait_for("the object store", self._answers)
        self._client_of("s3", "anybody", "anything").create_bucket(Bucket=self.name)
        iam = self._client_of("iam", "anybody", "anything")
        iam.create_user(UserName="airflow")
        arn = iam.create_policy(PolicyName="vault", PolicyDocument=json.dumps(_POLICY))["Policy"]["Arn"]
        iam.attach_user_policy(UserName="airflow", PolicyArn=arn)
        made = iam.create_access_key(UserName="airflow")["AccessKey"]
        self._keys = {"login": made["AccessKeyId"], "password": made["SecretAccessKey"]}

    @property
    def connection(self) -> dict[str, str]:
        """The connection to it, as the REST API of Airflow takes it."""
        extra = {"endpoint_url": self.endpoint, "region_name": _REGION}
        return {"conn_type": "aws", **self._keys, "extra": json.dumps(extra)}

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which a vault is opened without a connection."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": self._keys["login"],
            "AWS_SECRET_ACCESS_KEY": self._keys["password"],
        }

    def names(self, prefix: str) -> list[str]:
        """Return the names of all objects below a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"{prefix}/")
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, name: str) -> bytes:
        """Return an object."""
        content: bytes = self._client.get_object(Bucket=self.name, Key=name)["Body"].read()
        return content

    def size(self, prefix: str) -> int:
        """Count the bytes below a prefix, those of unfinished uploads included."""
        uploads = self._client.list_multipart_uploads(Bucket=self.name, Prefix=f"{prefix}/").get("Uploads", [])
        parts = (
            part["Size"]
            for each in uploads
            for part in self._client.list_parts(Bucket=self.name, Key=each["Key"], UploadId=each["UploadId"]).get(
                "Parts", []
            )
        )
        return sum(len(self.read(name)) for name in self.names(prefix)) + sum(parts)

    def whole_backups(self, prefix: str) -> list[dict[str, Any]]:
        """Return the manifests of all backups that Airflow has stored, each looked at byte by byte.

        Each artifact also gets its ``md5``, which tells files of the simulator's jobs apart.
        """
        manifests = []
        for name in self.names(prefix):
            folder, _, file = name.rpartition("/")
            if file != "manifest.json":
                continue
            manifest = json.loads(self.read(name))
            if manifest["producer"].get("dag_id"):
                for artifact in manifest["artifacts"]:
                    self._look_at(artifact, self.read(f"{folder}/{artifact['name']}"))
                manifests.append(manifest)
        return manifests

    @staticmethod
    def _look_at(artifact: dict[str, Any], content: bytes) -> None:
        assert hashlib.sha256(content).hexdigest() == artifact["sha256"], artifact
        artifact["md5"] = hashlib.md5(content).hexdigest()
        if artifact["name"].endswith(".zip"):
            assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None, artifact

    @cached_property
    def _client(self) -> Any:
        return self._client_of("s3", self._keys["login"], self._keys["password"])

    def _client_of(self, service: str, key: str, secret: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=_REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.endpoint}/moto-api/", timeout=5).ok
        except requests.ConnectionError:
            return False
