"""How much of the cluster a tenant may take."""

from __future__ import annotations

from fractions import Fraction

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_quota
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import BuildError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", Fraction(2)),
        ("500m", Fraction(1, 2)),
        ("1.5", Fraction(3, 2)),
        ("1k", Fraction(10**3)),
        ("2M", Fraction(2 * 10**6)),
        ("1G", Fraction(10**9)),
        ("1T", Fraction(10**12)),
        ("1Ki", Fraction(2**10)),
        ("1Mi", Fraction(2**20)),
        ("3Gi", Fraction(3 * 2**30)),
        ("1Ti", Fraction(2**40)),
    ],
)
def test_quantities_of_kubernetes(text: str, number: Fraction) -> None:
    assert dify_quota.quantity(text) == number


def test_another_quantity_is_refused() -> None:
    with pytest.raises(BuildError, match="8 GB is no quantity"):
        dify_quota.quantity("8 GB")


def test_without_a_quota_a_tenant_may_take_what_it_needs() -> None:
    main, sandbox = difys.of(difys.objects(), "ResourceQuota")
    # Three of api, web, worker, router and the proxy, two of the websocket, beat, the plugin daemon, the migration.
    assert main["spec"]["hard"]["pods"] == "20"
    assert sandbox["spec"]["hard"] == {
        "pods": "3",
        "requests.cpu": "300m",
        "requests.memory": "384Mi",
        "limits.cpu": "3",
        "limits.memory": "3072Mi",
    }


def test_the_quota_of_the_tenant_stands_over_that_of_the_site() -> None:
    build = difys.build({"quota": {"pods": 50}}, quota={"pods": 40, "limits.memory": "64Gi"})
    main = dify_quota.quotas(build)[0]
    assert main["spec"]["hard"] == {"pods": "50", "limits.memory": "64Gi"}


def test_a_quota_that_is_too_small_is_refused_before_anything_is_applied() -> None:
    with pytest.raises(BuildError, match="tenant dify: pods of its pods comes to 20, its quota is 5"):
        difys.objects({"quota": {"pods": 5}})
