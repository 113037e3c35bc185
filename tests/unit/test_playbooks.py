"""Playbooks, as somebody calls them who has the collection installed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from ansible.utils.collection_loader import AnsibleCollectionRef

from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_command

ROOT = Path(__file__).resolve().parents[2]
CALLED = re.compile(r"ansible-playbook (onprem\.dify\.[\w.-]+)")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "playbooks").glob("*.yml"))]
NAMES = sorted({name for page in PAGES for name in CALLED.findall(page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("name", NAMES)
def test_a_playbook_that_a_page_calls_is_there_under_a_name_that_ansible_takes(name: str) -> None:
    assert AnsibleCollectionRef.is_valid_fqcr(name), "a hyphen is none of the signs that such a name may have"
    assert (ROOT / "playbooks" / f"{name.rpartition('.')[2]}.yml").is_file()


TEXTS = {page: page.read_text(encoding="utf-8").replace("\\\n", " ") for page in PAGES}
LINES = sorted({line for text in TEXTS.values() for line in re.findall(r"ansible-playbook ([^`#\n]+)", text)})
TYPED = re.compile(r"(?m)^python3 \S*onprem-dify\.pyz ([^#\n]+)")
TOOL = sorted({words for text in TEXTS.values() for words in TYPED.findall(text)})
ROLE_VARIABLES = {
    name
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")
    for entry_point in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
    for name in entry_point.get("options") or {}
}


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_a_page_calls_a_playbook_with_variables_that_it_knows(line: str) -> None:
    called, *_ = line.split()
    file = ROOT / called if called.endswith(".yml") else ROOT / "playbooks" / f"{called.rpartition('.')[2]}.yml"
    assert file.is_file()
    for name in re.findall(r"-e (\w+)=", line):
        assert name in ROLE_VARIABLES or re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), name


@pytest.mark.parametrize("words", TOOL)
def test_a_command_of_a_page_is_one_of_the_tool_of_the_bundle(words: str) -> None:
    bundle_command._parser().parse_args(shlex.split(words))


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml")))
def test_every_playbook_can_be_called_in_the_installed_collection(name: str) -> None:
    assert AnsibleCollectionRef.is_valid_fqcr(f"onprem.dify.{name}")


PLAYS = [
    pytest.param(play, id=f"{path.stem}: {play['name']}")
    for path in sorted((ROOT / "playbooks").glob("*.yml"))
    for play in yaml.safe_load(path.read_text(encoding="utf-8"))
    if "hosts" in play and play["hosts"] != "localhost"
]


@pytest.mark.parametrize("play", PLAYS)
def test_hosts_come_in_the_same_order_in_every_run(play: dict) -> None:
    # Without it Ansible takes the children of a group in an order that changes from run to run, and with it the host
    # that does what is done once.
    assert play["order"] == "sorted"
