"""The reference has every public name, and the page of the command every command."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import pytest
from pages import ROOT

from airflow_provider_xbackup import vault
from airflow_provider_xbackup.cli import main
from airflow_provider_xbackup.provider_info import get_provider_info

REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def public_classes() -> Iterator[str]:
    """The classes that the provider's description leads to, and what ``vault`` offers."""
    info = get_provider_info()
    kinds = ("hooks", "operators", "sensors", "triggers")
    modules = [module for kind in kinds for each in info[kind] for module in each["python-modules"]]
    modules += [each["python-module"] for each in info["transfers"]]
    for module in modules:
        for name, value in vars(importlib.import_module(module)).items():
            own = isinstance(value, type) and value.__module__.startswith(module)
            if own and not name.startswith("_") and not issubclass(value, Exception):
                yield name
    yield from (path.rpartition(".")[2] for path in (*info["notifications"], *info["extra-links"]))
    yield from vault.__all__


@pytest.mark.parametrize("name", sorted(set(public_classes())))
def test_a_public_class_is_in_the_reference(name: str):
    assert re.search(rf"^\.\. autoclass:: [\w.]+\.{name}$", REFERENCE, re.MULTILINE)


def test_every_command_has_a_section():
    text = (ROOT / "docs" / "cli.md").read_text()
    titles = " ".join(re.findall(r"^## (.+)$", text, re.MULTILINE))

    assert [each.NAME for each in main.COMMANDS if f"`xbackup {each.NAME}`" not in titles] == []
