"""The stores under test: how each is started, reached through a connection, and looked into from behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from kinds.azure import AZURE_ACCOUNT, AZURE_KEY, Azure, azurite
from kinds.disk import Disk
from kinds.google import Google, google
from kinds.kind import CONN_ID, PREFIX, REGION, Kind
from kinds.s3 import S3, Ceph, ceph, juicefs, ministack, moto, policy, signed_moto

__all__ = [
    "AZURE_ACCOUNT",
    "AZURE_KEY",
    "CHECKING",
    "CONN_ID",
    "PREFIX",
    "REGION",
    "S3",
    "STARTS",
    "Azure",
    "Ceph",
    "Disk",
    "Google",
    "Kind",
    "azurite",
    "ceph",
    "google",
    "juicefs",
    "ministack",
    "moto",
    "policy",
    "signed_moto",
    "stores",
]

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
