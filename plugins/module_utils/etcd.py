# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of etcd: which ones a site has, and how one of them comes into the cluster. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

CLIENT_PORT = 2379
PEER_PORT = 2380
# A cluster of an even number bears no more losses than one member less, and is lost earlier.
SIZES = (1, 3, 5)


class EtcdError(Exception):
    """The member cannot join safely; the text is for the user."""


class Member(NamedTuple):
    """A member as the cluster knows it. It has never run while it has told nobody its client addresses."""

    id: int
    name: str
    peers: Sequence[str]
    started: bool

    @property
    def hex_id(self) -> str:
        return f"{self.id:x}"


class Action(NamedTuple):
    """`verb` is one of etcdctl member: remove or add. `subject` is an id, or the name of the new member."""

    verb: str
    subject: str
    name: str

    def __str__(self) -> str:
        return f"{self.verb} {self.name or self.subject}"


class Plan(NamedTuple):
    """`state`: how etcd starts for the first time, `new` or `existing`; empty where it has data."""

    actions: List[Action]
    state: str


class View(NamedTuple):
    """What one member sees of the others before it starts.

    `found`: the members that a running one lists, None if none answers. `holders`: other hosts that hold data of etcd;
    `unseen`: those of which nobody knows whether they do.
    """

    own_data: bool
    found: Optional[Sequence[Member]]
    quorum: bool = False
    holders: Sequence[str] = ()
    unseen: Sequence[str] = ()


def members_of_site(site: Mapping[str, Any]) -> List[Dict[str, str]]:
    """The hosts that run etcd, with the addresses at which the others find them: none without a database."""
    hosts: Mapping[str, Any] = site["hosts"]
    databases = [name for name, host in hosts.items() if "database" in host["groups"]]
    if not databases:
        return []
    witnesses = [name for name, host in hosts.items() if "witness" in host["groups"] and name not in databases]
    names = databases + witnesses
    if len(names) not in SIZES and len(databases) in SIZES:
        # An odd number of databases needs no witness.
        names = databases
    if len(names) not in SIZES:
        raise EtcdError(
            f"etcd would have {len(names)} members, {', '.join(names)}; wanted are 1, 3 or 5 hosts in the"
            " groups database and witness together. Put one more host into the group witness, or take one out."
        )
    return [
        {
            "name": name,
            "address": hosts[name]["address"],
            "client": f"https://{hosts[name]['address']}:{CLIENT_PORT}",
            "peer": f"https://{hosts[name]['address']}:{PEER_PORT}",
        }
        for name in sorted(names)
    ]


def parse_members(entries: Sequence[Mapping[str, Any]]) -> List[Member]:
    """Members as etcdctl (`ID`) and the peer port (`id`) list them."""
    return [
        Member(
            id=int(entry.get("ID", entry.get("id", 0))),
            name=str(entry.get("name", "")),
            peers=tuple(entry.get("peerURLs") or ()),
            started=bool(entry.get("clientURLs")),
        )
        for entry in entries
    ]


def plan(name: str, wanted: Mapping[str, str], view: View) -> Plan:
    """What must happen before the member `name` starts. `wanted` maps each member of the site to its peer URL."""
    found = list(view.found or ())
    mine = next((member for member in found if wanted[name] in member.peers), None)
    formed = any(member.started for member in found)
    if view.own_data:
        if formed and mine is None:
            raise EtcdError(
                f"{name} holds data of etcd, and the cluster does not know it any more. It must not start with these"
                " data: move them away, then it joins as a new member."
            )
        return Plan(_strangers(wanted, view, found), "")
    if not formed:
        return _first(name, view)
    if mine is not None and not mine.started:
        # It was added and has not come yet. In a small cluster the quorum waits for just that.
        return Plan([], "existing")
    if not view.quorum:
        raise EtcdError(
            f"{name} is to join a cluster that has no quorum. Bring the members that hold data up first:"
            f" {', '.join(view.holders) or ', '.join(member.name for member in found if member.started)}."
        )
    if mine is None:
        return Plan([Action("add", name, name)], "existing")
    # It ran once and has lost its data: under its old identity it could contradict what it has promised.
    return Plan([Action("remove", mine.hex_id, mine.name), Action("add", name, name)], "existing")


def _first(name: str, view: View) -> Plan:
    """The first start of all, unless somebody else may already have a cluster."""
    if view.unseen:
        raise EtcdError(
            f"{name} has no data of etcd and nobody answers. Whether {', '.join(view.unseen)} hold data is not known in"
            " this run: run without --limit, on all hosts of the groups database and witness."
        )
    if view.holders and view.found is None:
        raise EtcdError(
            f"{name} has no data of etcd, {', '.join(view.holders)} has and does not answer. Start etcd there first: a"
            " new cluster beside it would lose what it knows."
        )
    return Plan([], "new")


def _strangers(wanted: Mapping[str, str], view: View, found: Sequence[Member]) -> List[Action]:
    """Members that left the inventory go once all others run, one in each run."""
    strangers = [member for member in found if not set(member.peers) & set(wanted.values())]
    ours = [member for member in found if member not in strangers]
    if not strangers or not view.quorum or len(ours) < len(wanted) or not all(member.started for member in ours):
        return []
    return [Action("remove", strangers[0].hex_id, strangers[0].name)]


def directory_of(environment: str) -> str:
    """Where the data are, according to the configuration; empty if it does not say."""
    values = [line.partition("=")[2] for line in environment.splitlines() if line.startswith("ETCD_DATA_DIR=")]
    return values[-1] if values else ""


def initial_cluster(wanted: Mapping[str, str], found: Optional[Sequence[Member]], state: str) -> str:
    """The value of `initial-cluster`: all members that the new one will find."""
    known = {peer for member in found or () for peer in member.peers}
    if state == "new":
        known = set(wanted.values())
    names = {peer: name for name, peer in wanted.items()}
    entries = {names.get(peer, ""): peer for peer in known}
    entries.update({member.name: peer for member in found or () for peer in member.peers if member.name})
    return ",".join(f"{name}={peer}" for name, peer in sorted(entries.items()) if name and peer in known)


def first_start(name: str, token: str, wanted: Mapping[str, str], found: Optional[Sequence[Member]], state: str) -> str:
    """The environment of the first start; etcd ignores it as soon as it has data."""
    members = list(found or ())
    if state == "existing" and not any(wanted[name] in member.peers for member in members):
        members.append(Member(0, name, (wanted[name],), False))
    return (
        f"ETCD_INITIAL_CLUSTER={initial_cluster(wanted, members, state)}\n"
        f"ETCD_INITIAL_CLUSTER_STATE={state}\n"
        f"ETCD_INITIAL_CLUSTER_TOKEN={token}\n"
    )
