"""Write docs/simulator.md: every setting and every fault of the simulator, read out of its own models."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airflow_provider_xbackup.simulator import settings
from airflow_provider_xbackup.simulator.faults import AnyFault, Fault

PAGE = Path(__file__).resolve().parent.parent / "docs" / "simulator.md"
_LONGEST = 100
_PARAMETER = re.compile(r":param (\w+): (.*?)(?=\n\s*:param |\Z)", re.DOTALL)
_HEAD = """\
# The simulator

[`xbackup simulate`](cli.md#xbackup-simulate) plays both vendors' APIs. What they leave open is a setting, what can
go wrong is a fault. Both can be changed while it runs, with a request to `/_control/`:

```bash
curl -X PATCH http://127.0.0.1:8091/_control/settings -d '{"xray": {"download": {"redirect": false}}}'
curl -X POST http://127.0.0.1:8091/_control/faults -d '{"action": "html", "path": "/status", "times": 2}'
```

At the start `--set xray.download.redirect=false` does the same for settings. This page is made of the simulator's
own models by `make simulator-page`.
"""
_SETTINGS = (
    ("The simulator", "", settings.SimulatorSettings),
    ("Xray Cloud", "xray.", settings.XraySettings),
    ("Xray's downloads", "xray.download.", settings.DownloadSettings),
    ("A tenant of Xray", "xray.tenants.<client id>.", settings.TenantSettings),
    ("What a tenant holds", "xray.tenants.<client id>.data.", settings.DataSettings),
    ("Xenioo", "xenioo.", settings.XeniooSettings),
    ("A bot of Xenioo", "xenioo.bots.<bot>.", settings.BotSettings),
)


def page() -> str:
    """Return the text of the page."""
    lines = [_HEAD, "## Settings", ""]
    for title, prefix, model in _SETTINGS:
        lines += [f"### {title}", "", *_table(model, prefix), ""]
    lines += ["## Faults", "", "Every fault says which requests it is for:", "", *_table(Fault, ""), ""]
    for fault in get_args(get_args(AnyFault)[0]):
        action = fault.model_fields["action"].default
        own = [name for name in fault.model_fields if name not in {*Fault.model_fields, "action"}]
        lines += [f"### `{action}`", "", _summary(fault), "", *(_table(fault, "", own) if own else ()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(model: type[BaseModel]) -> str:
    return _plain((model.__doc__ or "").partition(":param")[0])


def _table(model: type[BaseModel], prefix: str, names: list[str] | None = None) -> Iterator[str]:
    told = dict(_PARAMETER.findall(model.__doc__ or ""))
    yield "| Name | Default | Meaning |"
    yield "|---|---|---|"
    for name, field in model.model_fields.items():
        if names is not None and name not in names:
            continue
        meaning = _plain(told.get(name, "")) + _choices(field)
        yield f"| `{prefix}{name}` | {_default(field)} | {meaning} |"


def _plain(docstring: str) -> str:
    return " ".join(docstring.split()).replace("``", "`").replace("|", "\\|")


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is not Literal:
        return ""
    return f". One of {', '.join(f'`{choice}`' for choice in get_args(field.annotation))}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or (isinstance(value, dict) and value):
        canned = isinstance(value, settings.CannedAnswer)
        return f"`{value.status}` `{value.body}`" if canned else "see below"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`" if text and len(text) <= _LONGEST else "a text" if text else "empty"


def main() -> int:
    """Write the page."""
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
