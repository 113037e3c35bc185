"""Where the registry of a mirror comes from."""

from __future__ import annotations

import pytest
import yaml
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_systems, collection_files

PACKAGED = collection_files.bundle()["distribution"]["package_names"]


@pytest.mark.parametrize("system", bundle_systems.SYSTEMS.values(), ids=bundle_systems.SYSTEMS)
def test_the_registry_is_that_of_the_operating_system_where_it_has_one(system: bundle_systems.System) -> None:
    facts = {"os_family": system.family}
    way = rendering.templated("mirror", "{{ mirror_registry_install }}", ansible_facts=facts)
    assert way == ("package" if system.family in PACKAGED else "archive")
    variables = yaml.safe_load((rendering.ROLES / f"mirror/vars/{system.family}.yml").read_text())
    packages = set(PACKAGED.get(system.family, []))
    assert packages <= set(variables["__mirror_packages"]), "the package that is pinned is the one that is installed"
