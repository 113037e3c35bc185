# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence and summary of a verified site. No Ansible, no I/O."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.controls import FAIL, NOT_APPLICABLE, RESULTS, WAIVED, count
from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import clauses

Results = Mapping[str, Mapping[str, Any]]
HEAD = ("os", "kernel", "tags", "started", "ended", "counts")


def evidence(host: str, result: Mapping[str, Any], site: str, catalogue: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the evidence of one host."""
    head = {name: result[name] for name in HEAD}
    return {"site": site, "host": host, **_origin(catalogue), **head, "controls": result["controls"]}


def _origin(catalogue: Mapping[str, Any]) -> Dict[str, Any]:
    return {"collection": f"onprem.dify {catalogue['collection']}", "catalogue_sha256": catalogue["sha256"]}


def summary(results: Results, hosts: Sequence[str], site: str, catalogue: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what all hosts together show; ``results`` lacks the hosts that could not be checked."""
    records = [(host, record) for host in hosts if host in results for record in results[host]["controls"]]
    return {
        "site": site,
        **_origin(catalogue),
        "started": min((result["started"] for result in results.values()), default=""),
        "ended": max((result["ended"] for result in results.values()), default=""),
        "counts": count([record for _host, record in records]),
        "hosts": {host: {name: results[host][name] for name in ("os", "counts")} for host in hosts if host in results},
        "not_checked": [host for host in hosts if host not in results],
        "failed": [{"host": host, **record} for host, record in records if record["result"] == FAIL],
        "waived": [{"host": host, **record} for host, record in records if record["result"] == WAIVED],
        "waivers_not_needed": [
            {"host": host, "id": record["id"], **record["waiver"]}
            for host, record in records
            if record.get("waiver") and record["result"] not in (FAIL, WAIVED)
        ],
        "not_applicable": _together([(host, record) for host, record in records if record["result"] == NOT_APPLICABLE]),
        "mlps3": _by_clause(records),
    }


def _together(records: Sequence[Tuple[str, Mapping[str, Any]]]) -> List[Dict[str, Any]]:
    hosts: Dict[Tuple[str, str], List[str]] = {}
    for host, record in records:
        hosts.setdefault((record["id"], record["reason"]), []).append(host)
    return [{"id": control, "reason": reason, "hosts": names} for (control, reason), names in hosts.items()]


def _by_clause(records: Sequence[Tuple[str, Mapping[str, Any]]]) -> Dict[str, Dict[str, int]]:
    found: Dict[str, List[Mapping[str, Any]]] = {}
    for _host, record in records:
        for clause in clauses(record, "mlps3"):
            found.setdefault(clause.split(" ")[0], []).append(record)
    return {
        clause: count(found[clause])
        for clause in sorted(found, key=lambda text: [int(part) for part in text.split(".")])
    }


def message(found: Mapping[str, Any], page: str) -> str:
    """Return what the operator has to know, or an empty string where every control passed or is waived."""
    lines = [f"  {host}: not checked" for host in found["not_checked"]]
    for record in found["failed"]:
        reason = f" ({record['reason']})" if record["reason"] else ""
        lines.append(
            f"  {record['host']}: {record['id']}: expected {record['expected']}, found {record['found']}{reason}"
        )
    if not lines:
        return ""
    hosts = {record["host"] for record in found["failed"]} | set(found["not_checked"])
    return "\n".join(
        [f"Failed controls: {len(found['failed'])}. Hosts concerned: {len(hosts)}.", *lines, f"All findings: {page}"]
    )


def markdown(found: Mapping[str, Any], catalogue_page: str = "docs/hardening.md") -> str:
    """Return the summary as a page for the auditor."""
    parts = [
        f"# Security controls of site {found['site']}",
        f"Checked on the running hosts from {found['started']} to {found['ended']} (UTC) by {found['collection']}.\n"
        f"SHA-256 of the catalogue of controls: `{found['catalogue_sha256']}`. "
        f"What each control does is written in `{catalogue_page}`.",
        _table(
            ("Host", "Operating system", *RESULTS),
            [(host, data["os"], *data["counts"].values()) for host, data in found["hosts"].items()]
            + [(host, "not checked", "", "", "", "") for host in found["not_checked"]]
            + [("all", "", *found["counts"].values())],
        ),
        "## Failed",
        _table(
            ("Host", "Control", "What it does", "Expected", "Found", "Reason"),
            [
                tuple(record[name] for name in ("host", "id", "title", "expected", "found", "reason"))
                for record in found["failed"]
            ],
        ),
        "## Waived by the site",
        _table(
            ("Host", "Control", "What it does", "Expected", "Found", "Reason", "Until"),
            [
                (
                    *(record[name] for name in ("host", "id", "title", "expected", "found")),
                    record["waiver"]["reason"],
                    record["waiver"]["expires"],
                )
                for record in found["waived"]
            ],
        ),
        "## Waivers that are not needed",
        _table(
            ("Host", "Control", "Reason", "Until"),
            [
                tuple(waiver[name] for name in ("host", "id", "reason", "expires"))
                for waiver in found["waivers_not_needed"]
            ],
        ),
        "## Not applicable",
        _table(
            ("Control", "Why", "Hosts"),
            [(item["id"], item["reason"], ", ".join(item["hosts"])) for item in found["not_applicable"]],
        ),
        "## By clause of GB/T 22239-2019, level 3",
        "Checks of controls that serve the clause, over all hosts. A help for the assessor, not an assessment.",
        _table(("Clause", *RESULTS), [(clause, *counts.values()) for clause, counts in found["mlps3"].items()]),
        "## Sign-off",
        _table(("Role", "Name", "Date", "Signature"), [("Operator", "", "", ""), ("Auditor", "", "", "")]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "None."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = str(value)
    # A shell pattern or a regular expression must not end the cell or become emphasis.
    for character in "\\|*_<>`":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def files(results: Results, hosts: Sequence[str], site: str, catalogue: Mapping[str, Any]) -> Dict[str, str]:
    """Return the text of every file of a report by its name."""
    found = summary(results, hosts, site, catalogue)
    pages = {f"{host}.json": _json(evidence(host, result, site, catalogue)) for host, result in results.items()}
    return {**pages, "summary.json": _json(found), "summary.md": markdown(found)}


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
