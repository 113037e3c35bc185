"""What an image of the lab consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Image:
    """An image of a component: its programs by the path at which they stand."""

    component: str
    programs: Mapping[str, str]
    reference: str = ""
    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    # The program that may listen at a port below 1024 as anybody.
    listens: str = ""
    # What else stands in it: texts and links by path, and folders that anybody may write to.
    documents: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    # The pin that names it, where that is not the one of the component.
    pin: str = ""
