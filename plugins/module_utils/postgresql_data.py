# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When PostgreSQL must not be touched, because its data could be lost or left behind. No Ansible, no I/O."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence


class Wish(NamedTuple):
    name: str
    directory: str
    major: str
    scope: str
    members: Sequence[str] = ()


class Found(NamedTuple):
    """`version`: of the data in the wished directory. `scope`, `configured`: from Patroni's configuration, if any;
    `configured_version`: of the data there.

    `holders`: other members that hold data; `unseen`: those of which it is not known. `leader` and `scopes`: who leads
    the cluster that runs, and the names of all that do.
    """

    version: str = ""
    filled: bool = False
    scope: str = ""
    configured: str = ""
    configured_version: str = ""
    holders: Sequence[str] = ()
    unseen: Sequence[str] = ()
    leader: Optional[str] = None
    scopes: Sequence[str] = ()


def needs_leader(found: Found) -> bool:
    """Whether this host can only come in by copying from a leader."""
    return not found.version and bool(found.holders)


def refusal(wish: Wish, found: Found) -> str:
    """Why the run must not go on; empty if it may."""
    for version, directory in ((found.version, wish.directory), (found.configured_version, found.configured)):
        if version and version != wish.major:
            return (
                f"{wish.name}: {directory} holds data of PostgreSQL {version}, wanted is {wish.major}. A major upgrade"
                " is work of its own and no part of this run: see docs/postgresql.md."
            )
    if (found.version or found.configured_version) and found.scope and found.scope != wish.scope:
        return _scope(wish, found.scope)
    if found.configured_version and found.configured != wish.directory:
        return (
            f"{wish.name}: the data stand in {found.configured}, postgresql_data_directory is {wish.directory}. A run"
            " moves no data. Set the variable back, or stop Patroni and move the directory yourself,"
            " on one host after the other."
        )
    others = [scope for scope in found.scopes if scope != wish.scope]
    if others:
        return _scope(wish, others[0])
    if found.leader and wish.members and found.leader not in wish.members:
        return (
            f"{wish.name}: {found.leader} leads the cluster and is no host of the group database any more. Let another"
            f" host lead before this one leaves: patronictl -c /etc/patroni/patroni.yml switchover --leader"
            f" {found.leader} --candidate {wish.name}"
        )
    if found.filled and not found.version and found.configured != wish.directory:
        return (
            f"{wish.name}: {wish.directory} is not empty and holds no data of PostgreSQL. Empty it, or name another"
            " directory in postgresql_data_directory."
        )
    if found.version or found.leader:
        return ""
    if found.holders:
        return (
            f"{wish.name} holds no data, {', '.join(found.holders)} does, and no leader answers there. It must not"
            " begin a new cluster beside these data. Bring PostgreSQL up there first."
        )
    if found.unseen:
        return (
            f"{wish.name} holds no data. Whether {', '.join(found.unseen)} does is not known in this run, and no leader"
            " answers there: run without --limit, on all hosts of the group database."
        )
    return ""


def _scope(wish: Wish, scope: str) -> str:
    return (
        f"{wish.name}: the running cluster is called {scope}, postgresql_scope is {wish.scope}. Under another name"
        f" Patroni would not find its cluster again. Set postgresql_scope to {scope}."
    )
