"""What the events of a run come to."""

from lab.runs import Reader, Run
from lab.scratch import only


def read(*events):
    run = Run("site.yml")
    reader = Reader(run, None)
    for name, data in events:
        assert reader({"event": name, "event_data": data})
    return run


def test_tasks_are_counted_by_stage_and_host():
    run = read(
        ("playbook_on_play_start", {"name": "Harden the hosts"}),
        ("runner_on_ok", {"host": "db1", "task": "a", "res": {"changed": True}}),
        ("runner_on_skipped", {"host": "db1", "task": "b"}),
        ("runner_on_ok", {"host": "db2", "task": "a", "res": {}}),
        ("playbook_on_stats", {"ok": {"db1": 1, "db2": 1}, "changed": {"db1": 1}, "skipped": {"db1": 1}}),
    )
    assert dict(run.stages[0].evaluated) == {"db1": 2, "db2": 1}
    assert run.evaluated == {"db1": 2, "db2": 1}
    assert run.total_changed == 1
    assert run.changed == {("db1", "a")}


def test_a_task_of_a_role_carries_its_name():
    run = read(
        ("playbook_on_play_start", {"name": "Harden the hosts"}),
        ("runner_on_ok", {"host": "db1", "task": "Do it", "role": "onprem.dify.sshd", "res": {"changed": True}}),
    )
    assert run.changed == {("db1", "sshd: Do it")}


def test_failures_and_unreachable_hosts_are_kept_with_their_message():
    run = read(
        ("playbook_on_play_start", {"name": "Harden the hosts"}),
        ("runner_on_failed", {"host": "db1", "task": "a", "res": {"msg": "no"}}),
        ("runner_on_unreachable", {"host": "db2", "task": "a", "res": {"msg": "gone"}}),
        ("playbook_on_stats", {"failures": {"db1": 1}, "dark": {"db2": 1}}),
    )
    assert [(failure.host, failure.message) for failure in run.failures] == [("db1", "no"), ("db2", "gone")]
    assert run.evaluated == {"db1": 1, "db2": 1}


def test_a_smaller_inventory_keeps_the_groups_of_the_hosts_that_stay():
    tree = {
        "data": {
            "children": {
                "database": {"hosts": {"db1": {"ansible_host": "a"}, "db2": {}}},
                "witness": {"hosts": {"w": {}}},
            }
        },
        "ops": {"children": {"mirror": {"hosts": {"ops1": None}}}},
    }
    assert only(tree, {"db1"}) == {"data": {"children": {"database": {"hosts": {"db1": {"ansible_host": "a"}}}}}}
