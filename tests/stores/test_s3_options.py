"""What S3 is asked to do with objects, from where Airflow has the options of a service: the objects carry it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kinds import CONN_ID, S3, stores
from servers.proxy import Proxy, Request, When, answer_with, flip_a_bit, proxy

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import VaultError
from airflow_provider_xbackup.vault.locks import Lock

row = pytest.mark.row
MIB = 1024 * 1024
Access = Callable[..., Any]
BACKUP_ID = "20261123T014500Z-full-1a2b3c4d"


def on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", stores(*names), indirect=True)


@pytest.fixture
def with_options(kind: S3, define: Callable[..., None]) -> Callable[..., Vault]:
    """Opens a vault whose connection has options for S3."""

    def with_options(bucket: str, address: str = "", /, **options: Any) -> Vault:
        define(**kind.connection(address, service_config={"s3": options}))
        return VaultHook(kind.url(bucket)).vault

    return with_options


@pytest.fixture
def stored(
    kind: S3, bucket: str, with_options: Callable[..., Vault], store_backup: Callable[..., Any]
) -> Callable[..., dict[str, Any]]:
    """Stores a backup with options; returns what the store says of its artifact and its manifest."""

    def stored(size: int, **options: Any) -> dict[str, Any]:
        vault = with_options(bucket, **options)
        backup = store_backup(vault, blocks=[b"x" * size])
        assert sum(map(len, vault.store.open_stream(f"xray/acme/{BACKUP_ID}/{_name(backup)}"))) == size
        heads = {}
        for name in ("manifest.json", _name(backup)):
            key = f"{kind.prefix}/xray/acme/{BACKUP_ID}/{name}"
            heads[name.partition(".")[0]] = kind.s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        return heads

    return stored


def _name(backup: Any) -> str:
    name: str = backup.manifest.artifacts[0].name
    return name


in_one_part_and_several = pytest.mark.parametrize("size", [1000, 11 * MIB], ids=["one part", "several parts"])


@row("encryption: SSE-S3")
@on("moto", "ministack")
@in_one_part_and_several
def test_objects_are_encrypted_with_keys_of_s3(stored: Callable[..., Any], size: int) -> None:
    heads = stored(size, server_side_encryption="AES256")

    assert {head["ServerSideEncryption"] for head in heads.values()} == {"AES256"}


@row("encryption: SSE-KMS, with a key")
@on("moto", "ministack", "radosgw")
@in_one_part_and_several
def test_objects_are_encrypted_with_a_key_of_kms(kind: S3, stored: Callable[..., Any], size: int) -> None:
    heads = stored(size, server_side_encryption="aws:kms", sse_kms_key_id="my-key", sse_bucket_key_enabled=True)

    for head in heads.values():
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"].endswith("my-key")


@row("encryption: SSE-KMS, a bucket key asked for")
@on("moto", "ministack", "radosgw")
def test_every_request_that_makes_an_object_asks_for_a_bucket_key(
    kind: S3, between: Proxy, bucket: str, with_options: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    """The emulators take the word, and not all of them repeat it."""
    options = {"server_side_encryption": "aws:kms", "sse_kms_key_id": "my-key", "sse_bucket_key_enabled": True}

    store_backup(with_options(bucket, between.address, **options), blocks=[b"x" * (11 * MIB)])

    makers = [
        request
        for request in between.seen
        if (request.method == "PUT" and "partNumber" not in request.target)
        or (request.method == "POST" and "uploads" in request.target)
    ]
    assert len(makers) == 2
    for request in makers:
        assert request.header("x-amz-server-side-encryption-bucket-key-enabled") == "true"


@row("encryption: DSSE-KMS")
@on("moto")
def test_objects_are_encrypted_twice(stored: Callable[..., Any]) -> None:
    heads = stored(1000, server_side_encryption="aws:kms:dsse", sse_kms_key_id="my-key")

    assert {head["ServerSideEncryption"] for head in heads.values()} == {"aws:kms:dsse"}


@row("storage class, of artifacts and not of manifests and records")
@on("moto", "ministack", "radosgw")
@in_one_part_and_several
def test_artifacts_get_their_class_and_manifests_stay_in_the_standard_one(
    stored: Callable[..., Any], size: int
) -> None:
    heads = stored(size, storage_class="STANDARD_IA")

    assert heads["backup"]["StorageClass"] == "STANDARD_IA"
    assert heads["manifest"].get("StorageClass", "STANDARD") == "STANDARD"


@row("storage class that the store does not have: refused in words")
@on("radosgw")
def test_a_class_that_the_store_does_not_have_is_told(
    kind: S3, bucket: str, with_options: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    with pytest.raises(VaultError, match="InvalidArgument"):
        store_backup(with_options(bucket, storage_class="MARBLE"))

    assert kind.keys(bucket) == []


@row("checksums, on request: sent along, and stores that know none take everything all the same")
@on("moto", "ministack", "radosgw", "juicefs")
@in_one_part_and_several
@pytest.mark.parametrize("algorithm", ["SHA256", "CRC64NVME", "none"])
def test_the_checksum_that_was_asked_for_is_sent_along(
    between: Proxy, bucket: str, with_options: Callable[..., Vault], store_backup: Callable[..., Any],
    size: int, algorithm: str,
) -> None:  # fmt: skip
    vault = with_options(bucket, between.address, checksum_algorithm=algorithm)

    backup = store_backup(vault, blocks=[b"x" * size])

    assert [each.manifest for each in vault.backups()] == [backup.manifest]
    sent = [request for request in between.seen if request.method == "PUT"]
    assert len(sent) > 1
    for request in sent:
        checksums = {name.lower() for name, _ in request.headers if name.lower().startswith("x-amz-checksum-")}
        expected = set() if algorithm == "none" else {f"x-amz-checksum-{algorithm.lower()}"}
        assert checksums - {"x-amz-checksum-algorithm"} == expected


@row("checksums, on request: the store has them")
@on("ministack")
@in_one_part_and_several
@pytest.mark.parametrize(
    ("algorithm", "field"), [("SHA256", "ChecksumSHA256"), ("CRC64NVME", "ChecksumCRC64NVME")]
)
def test_objects_have_the_checksum_that_was_asked_for(
    stored: Callable[..., Any], size: int, algorithm: str, field: str
) -> None:
    heads = stored(size, checksum_algorithm=algorithm)

    assert all(head.get(field) for head in heads.values())


@row("checksums: a bit that flipped on the way is refused")
@on("ministack")
@in_one_part_and_several
@pytest.mark.parametrize("algorithm", ["SHA256", "CRC64NVME"])
def test_a_bit_that_flips_on_the_way_is_refused(
    between: Proxy, bucket: str, with_options: Callable[..., Vault], store_backup: Callable[..., Any],
    size: int, algorithm: str,
) -> None:  # fmt: skip
    vault = with_options(bucket, between.address, checksum_algorithm=algorithm)
    artifacts = When(lambda request: request.method == "PUT" and b"xxxx" in request.body, flip_a_bit, times=1)
    between.rules.append(artifacts)

    with pytest.raises(VaultError, match=r"BadDigest|checksum|Checksum"):
        store_backup(vault, blocks=[b"x" * size])

    assert list(vault.backups()) == []


@row("payload_signing_enabled: the signature covers what is written, unless it is asked not to")
@on("signed moto", "ministack", "radosgw", "juicefs")
@pytest.mark.parametrize(
    ("options", "signed"),
    [({}, True), ({"payload_signing_enabled": True}, True), ({"payload_signing_enabled": False}, False)],
)
def test_the_signature_covers_what_is_written_unless_it_is_asked_not_to(
    between: Proxy, bucket: str, with_options: Callable[..., Vault], store_backup: Callable[..., Any],
    options: dict[str, Any], signed: bool,
) -> None:  # fmt: skip
    vault = with_options(bucket, between.address, **options)

    backup = store_backup(vault, blocks=[b"x" * (11 * MIB)])

    assert [each.manifest for each in vault.backups()] == [backup.manifest]
    digests = [request.header("x-amz-content-sha256") for request in between.seen if request.method == "PUT"]
    assert len(digests) == 3
    assert all((digest != "UNSIGNED-PAYLOAD") is signed for digest in digests)


# -- a bucket with default retention, as Amazon has it -------------------------------------------------------


def has_no_checksum(request: Request) -> bool:
    """Match an object without MD5 or checksum, which Amazon refuses where a bucket locks objects by itself.

    No emulator does. Amazon's documentation says so of PutObject and UploadPart.
    """
    named = [name.lower() for name, _ in request.headers]
    given = any(name == "content-md5" or name.startswith("x-amz-checksum-") for name in named)
    return request.method == "PUT" and bool(request.body) and not given


@row("Object Lock by default: uploads bring the checksum that Amazon demands")
@on("ministack", "radosgw")
@in_one_part_and_several
def test_a_bucket_that_locks_by_default_takes_everything_with_a_checksum(
    kind: S3, between: Proxy, with_options: Callable[..., Vault], store_backup: Callable[..., Any], size: int
) -> None:
    bucket = kind.new_bucket(lock=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    kind.s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    between.rules.append(When(has_no_checksum, answer_with(400, "InvalidRequest")))

    with pytest.raises(VaultError, match="InvalidRequest"):
        store_backup(with_options(bucket, between.address), blocks=[b"x" * size])
    vault = with_options(bucket, between.address, checksum_algorithm="SHA256")
    backup = store_backup(vault, blocks=[b"x" * size], lock=Lock.of("90d"))
    vault.store.put(backup.path.hold, b"{}")
    vault.store.delete(backup.path.hold)

    assert [each.manifest for each in vault.backups()] == [backup.manifest]


VPC = "https://vpce-1.s3.eu-west-1.vpce.amazonaws.com"
ELSEWHERE = "https://s3.example.com"


# -- without a store ---------------------------------------------------------------------------------------


@pytest.fixture
def access(define: Callable[..., None]) -> Access:
    """Reads an ``aws`` connection."""

    def access(**extra: Any) -> Any:
        define(conn_type="aws", login="key", password="secret", extra={"region_name": "eu-west-1", **extra})
        return VaultHook(f"s3://{CONN_ID}@bucket/p")._access()

    return access


@pytest.mark.parametrize(
    ("extra", "checksum"),
    [
        pytest.param({}, "SHA256", id="Amazon"),
        pytest.param({"endpoint_url": VPC}, "SHA256", id="a VPC endpoint"),
        pytest.param({"endpoint_url": ELSEWHERE}, None, id="elsewhere"),
        pytest.param({"service_config": {"s3": {"checksum_algorithm": "none"}}}, None, id="switched off"),
        pytest.param(
            {"endpoint_url": ELSEWHERE, "service_config": {"s3": {"checksum_algorithm": "CRC64NVME"}}},
            "CRC64NVME",
            id="asked for",
        ),
    ],
)  # fmt: skip
def test_amazon_gets_a_checksum_unasked(access: Access, extra: dict[str, Any], checksum: str) -> None:
    assert access(**extra).config.get("checksum_algorithm") == checksum


@pytest.mark.parametrize(
    ("extra", "endpoint"),
    [
        pytest.param({}, "https://s3.eu-west-1.amazonaws.com", id="Amazon"),
        pytest.param({"endpoint_url": VPC}, VPC, id="a VPC endpoint"),
        pytest.param(
            {"endpoint_url": "https://s3.example.com/", "config_kwargs": {"s3": {"addressing_style": "virtual"}}},
            "https://bucket.s3.example.com",
            id="with the bucket in the host name",
        ),
        pytest.param({"service_config": {"s3": {"endpoint_url": ELSEWHERE}}}, ELSEWHERE, id="of S3 only"),
    ],
)  # fmt: skip
def test_the_address_is_the_connections_own(access: Access, extra: dict[str, Any], endpoint: str) -> None:
    assert access(**extra).config["endpoint"] == endpoint


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"ServerSideEncryption": "AES256"}, "'server_side_encryption' was", id="boto3's"),
        pytest.param({"storage-class": "GLACIER_IR"}, "'storage_class' was probably meant", id="hyphens"),
        pytest.param({"sse_kms_key": "k"}, "'sse_kms_key_id' was probably meant", id="half"),
        pytest.param({"cheksum_algoritm": "SHA256"}, "'checksum_algorithm' was probably meant", id="misspelt"),
        pytest.param({"sse_customer_key_base64": "a2V5"}, "encrypt_to encrypts before the upload", id="SSE-C"),
        pytest.param({"object_lock_mode": "GOVERNANCE"}, "lock_for of the tasks", id="locks"),
        pytest.param({"addressing_style": "virtual"}, "config_kwargs", id="addressing"),
        pytest.param({"server_side_encryption": "aes"}, "must be AES256, aws:kms or", id="encryption"),
        pytest.param({"sse_kms_key_id": "k"}, "needs server_side_encryption 'aws:kms'", id="a key for nothing"),
        pytest.param({"checksum_algorithm": "MD5"}, "must be SHA256, CRC64NVME or none", id="checksum"),
        pytest.param({"storage_class": "DEEP_ARCHIVE"}, "gives nothing back before it was restored", id="archive"),
        pytest.param({"payload_signing_enabled": "no"}, "must be true or false", id="signing"),
        pytest.param({"storage_class": 7}, "must be a name such as 'STANDARD_IA'", id="no class"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_meant_is_refused(access: Access, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        access(service_config={"s3": options})

    assert says in str(caught.value)
    assert "service_config in the connection 'store'" in str(caught.value)
    assert "a2V5" not in str(caught.value)


def test_airflows_own_options_are_left_alone(access: Access) -> None:
    own = {"bucket_name": "b", "endpoint_url": "https://s3.example.com", "transfer_config_args": {}, "x": 1}

    assert (
        access(service_config={"s3": own, "sts": {"endpoint_url": "https://sts.example.com"}}).of_artifacts == {}
    )


@pytest.mark.parametrize("services", ["s3", ["s3"], {"s3": "STANDARD"}], ids=json.dumps)
def test_a_service_config_that_is_none_is_refused(access: Access, services: object) -> None:
    with pytest.raises(InvalidArgumentError, match="must be an object of options"):
        access(service_config=services)


# -- addressing --------------------------------------------------------------------------------------------


@row("path-style and virtual-hosted addressing")
@on("radosgw")
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_the_bucket_stands_in_the_path_or_in_the_host_name(
    kind: S3, bucket: str, define: Callable[..., None], store_backup: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch, style: str,
) -> None:  # fmt: skip
    with proxy(int(kind.address.rpartition(":")[2])) as way:
        # Nobody resolves such a name here, so an HTTP proxy leads to it.
        monkeypatch.setenv("HTTP_PROXY", way.address)
        monkeypatch.setenv("http_proxy", way.address)
        extra = {"config_kwargs": {"s3": {"addressing_style": style}}}
        define(**kind.connection("http://s3.test", **extra))
        vault = VaultHook(kind.url(bucket)).vault
        store_backup(vault, blocks=[b"x" * (11 * MIB)])
        uploads = list(vault.store.leftovers("xray"))

    hosts = {request.header("Host") for request in way.seen}
    assert hosts == {f"{bucket}.s3.test" if style == "virtual" else "s3.test"}
    assert uploads == []
    assert len(kind.keys(bucket)) == 2
