"""Unpack from the wheel of the PyPI package `ansible` the collections that galaxy.yml depends on, and those alone."""

import sys
import zipfile

import yaml


def main(wheel: str, galaxy: str, target: str) -> None:
    with open(galaxy, encoding="utf-8") as file:
        needed = yaml.safe_load(file)["dependencies"]
    folders = tuple(f"ansible_collections/{name.replace('.', '/')}/" for name in needed)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(folders)])


if __name__ == "__main__":
    main(*sys.argv[1:])
