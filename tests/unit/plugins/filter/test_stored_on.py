"""The buckets and volumes that a site uses, in a template."""

from __future__ import annotations

from ansible_collections.onprem.dify.plugins.filter.stored_on import FilterModule

VOLUMES = [{"name": "dify", "purpose": "uploads"}, {"name": "dify-plugin", "purpose": "plugins"}]


def test_a_template_gets_what_is_stored_on_that_kind() -> None:
    stored_on = FilterModule().filters()["stored_on"]
    assert stored_on(VOLUMES, "nfs", {"uploads": "s3", "plugins": "nfs"}) == [{"name": "dify-plugin"}]
