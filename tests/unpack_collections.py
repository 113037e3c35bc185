"""Unpack from the wheel of the PyPI package `ansible` the collections that galaxy.yml depends on, and those alone."""

import sys
import zipfile
from pathlib import Path

import yaml


def main(wheel: str, galaxy: str, target: str) -> None:
    needed = yaml.safe_load(Path(galaxy).read_text(encoding="utf-8"))["dependencies"]
    folders = tuple(f"ansible_collections/{name.replace('.', '/')}/" for name in needed)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(folders)])


if __name__ == "__main__":
    main(*sys.argv[1:])
