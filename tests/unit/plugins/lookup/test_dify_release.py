"""The release of Dify as the variables of a site choose it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.lookup import dify_release


def look_up(site_pins: dict[str, Any], images: bool = True) -> dict[str, Any]:
    loader = DataLoader()
    variables = {"site_pins": site_pins}
    lookup = dify_release.LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))
    # Ansible's plugin loader, which would read the options from the documentation, is not part of this.
    vars(lookup).update(set_options=lambda **_options: None, get_option={"images": images}.get)
    (found,) = lookup.run([], variables)
    return found


def digests(version: str = difys.NEWEST) -> dict[str, Any]:
    """What a site says that knows the digests of a release."""
    pins = difys.pins(version)
    own = {
        image["pin"]: {"images": pins[image["pin"]]["images"]}
        for image in difys.release_file(version)["images"].values()
    }
    own["dify"]["version"] = version
    own["nginx"] = {"images": [{"name": "docker.io/nginx", "tag": "1.30", "digest": difys.DIGEST}]}
    return own


@pytest.mark.parametrize("version", difys.RELEASES)
def test_the_release_is_the_one_that_the_site_pins(version: str) -> None:
    found = look_up(digests(version))
    assert found["version"] == version
    assert found["images"]["api"]["reference"] == f"docker.io/langgenius/dify-api:{version}@{difys.DIGEST}"
    assert found["router_image"] == f"docker.io/nginx:1.30@{difys.DIGEST}"
    assert found["kubernetes_version"] == difys.load("bundle/kubernetes.yml")["version"]
    assert type(found["services"]) is dict


def test_who_needs_no_images_needs_no_digests() -> None:
    found = look_up({"dify": {"version": "1.16.1"}}, images=False)
    assert found == difys.release_file("1.16.1")
    with pytest.raises(AnsibleError, match=r"site_pins\.dify\.version is 2\.0\.0, wanted"):
        look_up({"dify": {"version": "2.0.0"}}, images=False)


def test_what_is_missing_is_named_with_its_variable() -> None:
    with pytest.raises(AnsibleError, match=r"site_pins\.dify\.images has no docker\.io/langgenius/dify-api"):
        look_up({})
    with pytest.raises(AnsibleError, match=r"site_pins\.nginx\.images has 0 images with a digest"):
        look_up({**digests(), "nginx": {}})
    with pytest.raises(AnsibleError, match=r"site_pins\.dify\.version is 2\.0\.0, wanted"):
        look_up({"dify": {"version": "2.0.0"}})
    with pytest.raises(AnsibleError, match=r"no component difi\. Did you mean dify"):
        look_up({"difi": {}})
