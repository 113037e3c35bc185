"""Unpack from the wheel of the PyPI package `ansible` the collections that galaxy.yml depends on, and those
that they depend on, and no others."""

import json
import sys
import zipfile
from pathlib import Path

import yaml


def main(wheel: str, galaxy: str, target: str) -> None:
    waiting = list(yaml.safe_load(Path(galaxy).read_text(encoding="utf-8"))["dependencies"])
    folders: set[str] = set()
    with zipfile.ZipFile(wheel) as archive:
        while waiting:
            folder = f"ansible_collections/{waiting.pop().replace('.', '/')}/"
            if folder not in folders:
                folders.add(folder)
                manifest = json.loads(archive.read(f"{folder}MANIFEST.json"))
                waiting += manifest["collection_info"]["dependencies"]
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(tuple(folders))])


if __name__ == "__main__":
    main(*sys.argv[1:])
