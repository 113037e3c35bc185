"""The collection's own code, under the name by which Ansible imports it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .errors import LabError
from .topology import ROOT

COLLECTIONS = ROOT / ".ansible/collections"


def module_utils(name: str) -> ModuleType:
    if str(COLLECTIONS) not in sys.path:
        sys.path.insert(0, str(COLLECTIONS))
    try:
        return importlib.import_module(f"ansible_collections.onprem.dify.plugins.module_utils.{name}")
    except ImportError as error:
        raise LabError(f"{error}: run `make setup`") from error
