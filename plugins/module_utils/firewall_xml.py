# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a host as firewalld keeps them: as files, and as the running firewalld reports them. No I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple
from xml.sax.saxutils import escape, quoteattr

NOTICE = "Written by onprem.dify from the flows of the site; changes made here are lost."
HEAD = f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {NOTICE} -->\n'
# Only keys that firewalld 1.0 knows. Nothing that the flows allow needs a helper, a direct rule or masquerading.
CONF = {
    "DefaultZone": "",
    "CleanupOnExit": "yes",
    "CleanupModulesOnExit": "no",
    "Lockdown": "no",
    "IPv6_rpfilter": "yes",
    "IndividualCalls": "no",
    "LogDenied": "off",
    "FirewallBackend": "nftables",
    "FlushAllOnReload": "yes",
    "RFC3964_IPv4": "yes",
}


def files(rules: Mapping[str, Any]) -> Dict[str, str]:
    """Return the text of every file below /etc/firewalld, by its path below it."""
    texts = {"firewalld.conf": _conf(rules["settings"])}
    texts.update({f"ipsets/{name}.xml": _ipset(entries) for name, entries in rules["sets"].items()})
    texts.update({f"zones/{name}.xml": _zone(name, zone) for name, zone in rules["zones"].items()})
    texts.update({f"policies/{name}.xml": _policy(policy) for name, policy in rules["policies"].items()})
    return dict(sorted(texts.items()))


def running(rules: Mapping[str, Any]) -> Dict[str, List[str]]:
    """Return what the running firewalld must report: sorted lines for each thing, which are also what a diff shows."""
    lines = {
        "settings": [
            f"default zone {rules['settings']['DefaultZone']}",
            f"log denied {rules['settings']['LogDenied']}",
        ],
    }
    for name, entries in rules["sets"].items():
        lines[f"ipset {name}"] = sorted(entries)
    for name, zone in rules["zones"].items():
        facts = [f"target {zone['target']}", *(f"source {source}" for source in zone["sources"])]
        lines[f"zone {name}"] = sorted(facts + [rich_rule(rule) for rule in zone["rules"]])
    for name, policy in rules["policies"].items():
        facts = [
            f"target {policy['target']}",
            f"from {policy['ingress']}",
            f"to {policy['egress']}",
            f"priority {policy['priority']}",
        ]
        lines[f"policy {name}"] = sorted(facts + [rich_rule(rule) for rule in policy["rules"]])
    return lines


def reported_zone(settings: Mapping[str, Any]) -> List[str]:
    """Return the same lines from what firewalld reports of a zone."""
    facts = [
        f"target {settings.get('target', 'default')}",
        *(f"source {source}" for source in settings.get("sources", [])),
    ]
    return sorted(facts + _reported(settings))


def reported_policy(settings: Mapping[str, Any]) -> List[str]:
    """Return the same lines from what firewalld reports of a policy."""
    facts = [f"target {settings.get('target', 'CONTINUE')}", f"priority {settings.get('priority', -1)}"]
    facts += [f"from {zone}" for zone in settings.get("ingress_zones", [])]
    facts += [f"to {zone}" for zone in settings.get("egress_zones", [])]
    return sorted(facts + _reported(settings))


def rich_rule(rule: Mapping[str, str]) -> str:
    """Return a rule in firewalld's rich language, as `firewall-cmd --list-all` prints it."""
    words = ['rule family="ipv4"']
    if rule.get("source"):
        words.append(f'source ipset="{rule["source"]}"')
    if rule.get("destination"):
        words.append(f'destination ipset="{rule["destination"]}"')
    if rule.get("address"):
        words.append(f'destination address="{rule["address"]}"')
    element, attributes = _element(rule)
    if element:
        words.append(" ".join([element, *(f'{key}="{value}"' for key, value in attributes)]))
    return " ".join([*words, "accept"])


def _element(rule: Mapping[str, str]) -> Tuple[str, Sequence[Tuple[str, str]]]:
    protocol = rule.get("protocol", "")
    if rule.get("port"):
        return "port", [("port", rule["port"]), ("protocol", protocol)]
    if rule.get("source_port"):
        return "source-port", [("port", rule["source_port"]), ("protocol", protocol)]
    if rule.get("icmp"):
        return "icmp-type", [("name", rule["icmp"])]
    if protocol:
        return "protocol", [("value", protocol)]
    return "", []


def _reported(settings: Mapping[str, Any]) -> List[str]:
    """Whatever else firewalld holds there was put in by hand and shows as a line of its own."""
    lines = list(settings.get("rules_str", settings.get("rich_rules", [])))
    for key in ("services", "icmp_blocks", "protocols"):
        lines += [f"{key} {value}" for value in settings.get(key, [])]
    for key in ("ports", "source_ports", "forward_ports"):
        lines += [f"{key} {'/'.join(str(part) for part in value)}" for value in settings.get(key, [])]
    lines += [key for key in ("masquerade", "forward", "icmp_block_inversion") if settings.get(key)]
    return lines


def _conf(settings: Mapping[str, str]) -> str:
    return f"# {NOTICE}\n" + "".join(f"{key}={settings.get(key, value)}\n" for key, value in CONF.items())


def _ipset(entries: Sequence[str]) -> str:
    rows = "".join(f"  <entry>{escape(entry)}</entry>\n" for entry in entries)
    return f'{HEAD}<ipset type="hash:net">\n  <option name="family" value="inet"/>\n{rows}</ipset>\n'


def _zone(name: str, zone: Mapping[str, Any]) -> str:
    rows = "".join(f"  <source address={quoteattr(source)}/>\n" for source in zone["sources"])
    return f"{HEAD}<zone target={quoteattr(zone['target'])}>\n{_about(name, zone)}{rows}{_rules(zone)}</zone>\n"


def _policy(policy: Mapping[str, Any]) -> str:
    ends = (
        f"  <ingress-zone name={quoteattr(policy['ingress'])}/>\n  <egress-zone name={quoteattr(policy['egress'])}/>\n"
    )
    head = f'<policy priority="{policy["priority"]}" target={quoteattr(policy["target"])}>\n'
    return f"{HEAD}{head}{_about('', policy)}{ends}{_rules(policy)}</policy>\n"


def _about(name: str, part: Mapping[str, Any]) -> str:
    short = f"  <short>{escape(name)}</short>\n" if name else ""
    return f"{short}  <description>{escape(part['description'])}</description>\n"


def _rules(part: Mapping[str, Any]) -> str:
    return "".join(_rule(rule) for rule in part["rules"])


def _rule(rule: Mapping[str, str]) -> str:
    # "--" would end an XML comment early.
    rows = [f"  <!-- {escape(rule['why'].replace('--', '-'))} -->"] if rule.get("why") else []
    rows.append('  <rule family="ipv4">')
    if rule.get("source"):
        rows.append(f"    <source ipset={quoteattr(rule['source'])}/>")
    if rule.get("destination"):
        rows.append(f"    <destination ipset={quoteattr(rule['destination'])}/>")
    if rule.get("address"):
        rows.append(f"    <destination address={quoteattr(rule['address'])}/>")
    element, attributes = _element(rule)
    if element:
        rows.append(f"    <{element} {' '.join(f'{key}={quoteattr(value)}' for key, value in attributes)}/>")
    return "\n".join([*rows, "    <accept/>", "  </rule>"]) + "\n"
