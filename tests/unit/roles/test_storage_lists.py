# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles make of the choice of storage, from their defaults alone."""

from __future__ import annotations

import pytest
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.filter import bucket_keys, file_exports, stored_on
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import complete

FILTERS = {
    f"onprem.dify.{name}": plugin
    for module in (bucket_keys, file_exports, stored_on)
    for name, plugin in module.FilterModule().filters().items()
}
EVERYTHING = {"uploads": "s3", "plugins": "s3", "backups": "s3", "claims": ""}


def templated(role, text, storage, **variables):
    site = {"storage": storage, "hosts": {"worker1": {"address": "10.20.2.21"}}}
    known = {"site_facts": site, "groups": {"workers": ["worker1"]}, **variables}
    return rendering.templated(role, text, FILTERS, **known)


@pytest.mark.parametrize(
    ("storage", "volumes"),
    [
        (EVERYTHING, []),
        ({**EVERYTHING, "uploads": "nfs"}, [("dify", "90G")]),
        ({**EVERYTHING, "uploads": "nfs", "plugins": "nfs"}, [("dify", "90G"), ("dify-plugin", "5G")]),
        ({**EVERYTHING, "claims": "nfs"}, [("claims", "20G")]),
    ],
)
def test_what_is_on_nfs_has_a_volume_of_its_size_for_the_workers(storage, volumes):
    found = templated("files", "{{ __files_volumes }}", storage, files_uploads_size="90G")
    assert [(volume["name"], volume["size"]) for volume in found] == volumes
    exports = templated("files", "{{ __files_volumes | onprem.dify.file_exports('/srv', __files_workers) }}", storage)
    assert [line.split("(")[0] for line in exports.splitlines()] == [f"/srv/{name} 10.20.2.21" for name, _ in volumes]


@pytest.mark.parametrize(
    ("storage", "buckets", "tried"),
    [
        (EVERYTHING, ["dify", "dify-plugin", "backup"], ["dify", "dify-plugin"]),
        ({**EVERYTHING, "plugins": "local", "backups": "local"}, ["dify"], ["dify", ""]),
        ({**EVERYTHING, "uploads": "nfs"}, ["dify-plugin", "backup"], ["dify-plugin", "backup"]),
        # Ansible works out every default, also where no bucket is left.
        (dict.fromkeys(EVERYTHING, "local"), [], ["", ""]),
    ],
)
def test_what_is_in_s3_has_a_bucket_and_the_contract_tries_the_first(storage, buckets, tried):
    secrets = complete({}, {}, ["s3"], storage)
    found = templated("objects", "{{ __objects_buckets }}", storage, site_secrets=secrets)
    assert [bucket["name"] for bucket in found] == buckets
    assert {key for bucket in found for key in bucket} & {"purpose", "secret"} == set()
    both = "{{ [objects_contract_bucket, objects_contract_other_bucket] }}"
    assert templated("objects", both, storage) == tried
