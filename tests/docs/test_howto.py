"""Every class that a DAG can use has a recipe, and every recipe is cut out of an example DAG."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import pytest
from pages import ROOT

from airflow_provider_xbackup import task_groups
from airflow_provider_xbackup.provider_info import get_provider_info

EXAMPLES = {path.name: path.read_text() for path in sorted((ROOT / "example_dags").glob("*.py"))}
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs" / "howto").glob("*.md"))}
_INCLUDED = re.compile(
    r"^```\{literalinclude\} ../../example_dags/(\w+\.py)\n"
    r':start-after: "\[START (\w+)\]"\n:end-before: "\[END (\w+)\]"$',
    re.MULTILINE,
)
_HEADING = re.compile(r"^#{2,3} `(\w+)`$", re.MULTILINE)


def classes() -> Iterator[tuple[str, str]]:
    """The kind and name of every class that the provider's description leads to."""
    info = get_provider_info()
    modules = [
        *(("operator", module) for each in info["operators"] for module in each["python-modules"]),
        *(("sensor", module) for each in info["sensors"] for module in each["python-modules"]),
        *(("transfer", each["python-module"]) for each in info["transfers"]),
    ]
    for name in info["notifications"]:
        yield "notification", name.rpartition(".")[2]
    for kind, module in modules:
        for name, value in vars(importlib.import_module(module)).items():
            if (
                isinstance(value, type)
                and value.__module__.startswith(module)
                and "template_fields" in vars(value)
            ):
                yield kind, name


def marker(kind: str, name: str) -> str:
    """How a recipe is marked in an example, as in the examples of Airflow's own providers."""
    words = re.findall(r"[A-Z][a-z]+", re.sub(r"(Operator|Sensor|Notifier)$", "", name))
    return f"howto_{kind}_{'_'.join(words).lower()}"


def recipes() -> list[tuple[str, str]]:
    """The name and the marker of every recipe that there has to be."""
    groups = [name for name, value in vars(task_groups).items() if hasattr(value, "expand_kwargs")]
    return [(name, marker(kind, name)) for kind, name in classes()] + [
        (name, f"howto_task_group_{name}") for name in groups
    ]


def test_the_recipes_are_those_of_all_classes_and_groups():
    assert {"XrayBackupSensor", "FetchBackupOperator", "XeniooToObjectStorageOperator", "xray_backup"} < {
        name for name, _ in recipes()
    }
    assert {found[1] for text in PAGES.values() for found in _INCLUDED.findall(text)} == {
        mark for _, mark in recipes()
    }


@pytest.mark.parametrize(("name", "mark"), recipes())
def test_there_is_a_recipe_for_it_in_an_example(name: str, mark: str):
    (example,) = [text for text in EXAMPLES.values() if f"# [START {mark}]" in text]

    recipe = example.partition(f"# [START {mark}]")[2].partition(f"# [END {mark}]")
    assert recipe[1]
    assert f"{name}(" in recipe[0] or f"{name}.partial(" in recipe[0]


@pytest.mark.parametrize(("name", "mark"), recipes())
def test_its_recipe_is_shown_under_its_name(name: str, mark: str):
    (page,) = [text for text in PAGES.values() if name in _HEADING.findall(text)]

    section = re.split(rf"^#{{2,3}} `{name}`$", page, flags=re.MULTILINE)[1]
    section = re.split(r"^#{2,3} ", section, flags=re.MULTILINE)[0]
    ((file, start, end),) = _INCLUDED.findall(section)
    assert start == end == mark
    assert f"# [START {mark}]" in EXAMPLES[file]
