"""Which version of Kubernetes may follow which."""

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_versions import change, refusal


@pytest.mark.parametrize(
    ("found", "wanted", "step"),
    [
        ("1.36.4", "1.36.4", "none"),
        ("v1.36.4", "1.36.4", "none"),
        ("1.36.3", "1.36.4", "upgrade"),
        ("1.35.8", "1.36.4", "upgrade"),
        ("1.34.9", "1.36.4", "skew"),
        ("1.36.4", "2.0.0", "skew"),
        ("1.36.4", "1.36.3", "downgrade"),
        ("1.37.0", "1.36.4", "downgrade"),
        ("of somebody", "1.36.4", "unknown"),
    ],
)
def test_steps(found, wanted, step):
    assert change(found, wanted) == step


def test_a_refusal_says_what_comes_next():
    assert "1.35 comes next" in refusal("1.34.9", "1.36.4")
    assert "does not go back" in refusal("1.36.4", "1.36.3")
    assert refusal("1.35.8", "1.36.4") == refusal("1.36.4", "1.36.4") == ""
