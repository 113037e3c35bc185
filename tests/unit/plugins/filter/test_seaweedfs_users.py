"""The users of a gateway, from what it has now."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.filter.seaweedfs_users import seaweedfs_users

BUCKET = {"name": "dify", "access_key": "new", "secret_key": "n"}
KNOWN = json.dumps({"identities": [{"name": "dify", "credentials": [{"accessKey": "old", "secretKey": "o"}]}]})


@pytest.mark.parametrize(
    ("known", "retire", "keys"), [("", False, ["new"]), (KNOWN, False, ["new", "old"]), (KNOWN, True, ["new"])]
)
def test_a_gateway_keeps_the_keys_that_it_knows_until_they_are_retired(known, retire, keys):
    (user,) = seaweedfs_users([BUCKET], known, retire)["identities"]
    assert [pair["accessKey"] for pair in user["credentials"]] == keys


def test_two_pairs_for_one_user_are_refused():
    with pytest.raises(AnsibleFilterError, match="two pairs of keys"):
        seaweedfs_users([BUCKET, {**BUCKET, "name": "b", "user": "dify", "access_key": "x"}])
