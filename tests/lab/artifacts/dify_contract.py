"""Test equipment in the place of Dify: images under the names of a release, each with one program that refuses to start
unless it is given what that release wants. What is no part of Dify, its proxy and its router, is Debian's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..debian import bundle
from ..topology import ROOT
from .image import Image

PROGRAM = "dify-contract"
FOLDER = "contract"


def release() -> dict[str, Any]:
    """The release that the pins name."""
    import yaml

    version = bundle()["dify"]["version"]
    found: dict[str, Any] = yaml.safe_load((ROOT / "releases" / f"{version}.yml").read_text(encoding="utf-8"))
    return found


def images() -> Iterator[Image]:
    whole = release()
    for name, entry in whole["images"].items():
        yield _image(name, f"{entry['name']}:{entry['tag']}", entry["pin"], json.dumps(whole, sort_keys=True))
    nginx = bundle()["nginx"]
    (reference,) = nginx["to_resolve"]["images"]
    yield _image("nginx", reference.format(version=nginx["version"]), "nginx", "{}")


def _image(name: str, reference: str, pin: str, text: str) -> Image:
    own = name not in ("nginx", "squid")
    users = {"etc/passwd": "root:x:0:0::/:/bin/sh\nproxy:x:13:13::/:/bin/sh\n", "etc/group": "proxy:x:13:\n"}
    return Image(
        PROGRAM,
        {f"{FOLDER}/contract": "contract"},
        reference,
        # The API asks its workers in a shell whether they are well.
        base={"api": "busybox", "nginx": "nginx", "squid": "squid"}.get(name, ""),
        settings={"Entrypoint": [f"/{FOLDER}/contract", name]} if own else {},
        documents={f"{FOLDER}/release.json": text, **users},
        links={"usr/bin/celery": f"/{FOLDER}/contract"},
        folders=("app/api", "app/storage"),
        pin=pin,
    )


IMAGES = tuple(images())
