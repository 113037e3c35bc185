"""What a role makes of its variables and templates, without a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).resolve().parents[3] / "roles"


def template(role: str, name: str, **variables: Any) -> str:
    text = (ROLES / role / "templates" / name).read_text(encoding="utf-8")
    return str(templated(role, text, **variables))


def templated(role: str, text: str, filters: Mapping[str, Callable[..., Any]] | None = None, **variables: Any) -> Any:
    """The text with the role's own variables, of which those that are given have another value."""
    files = [ROLES / role / "defaults/main.yml", ROLES / role / "vars/main.yml"]
    known = {name: _trusted(value) for file in files for name, value in yaml.safe_load(file.read_text()).items()}
    templar = Templar(loader=DataLoader(), variables={"ansible_managed": "managed", **known, **variables})
    templar.environment.filters.update(filters or {})
    # A template may include another one of its role.
    templar.environment.loader.searchpath = [str(ROLES / role / "templates")]
    return templar.template(trust_as_template(text))


def _trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _trusted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_trusted(inner) for inner in value]
    return trust_as_template(value) if isinstance(value, str) else value
