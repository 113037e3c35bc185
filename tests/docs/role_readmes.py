"""Write the README of every role from its argument_specs; with --check, say which are out of date."""

from __future__ import annotations

import re
import sys
from typing import Any

import yaml
from page import ROOT, cell


def readme(role: str, spec: dict[str, Any]) -> str:
    main = spec["argument_specs"]["main"]
    lines = [f"# onprem.dify.{role}", "", f"{main['short_description']}.", ""]
    lines += [f"{plain(text)}\n" for text in listed(main.get("description", []))]
    lines += ["## Variables", ""]
    lines += variables(main.get("options", {})) or ["None."]
    lines += ["", "## Example", "", "```yaml", "- hosts: all", "  become: true", "  roles:"]
    lines += ["    - role: onprem.dify.site"] if role != "site" else []
    lines += [f"    - role: onprem.dify.{role}", "```", ""]
    lines += ["This page is made from `meta/argument_specs.yml` by `make docs`.", ""]
    return "\n".join(lines)


def variables(options: dict[str, Any]) -> list[str]:
    if not options:
        return []
    lines = ["| variable | type | default | what it does |", "|---|---|---|---|"]
    for name, option in options.items():
        kind = option.get("type", "str")
        if kind == "list":
            kind = f"list of {option.get('elements', 'str')}"
        if option.get("required"):
            default = "*required*"
        elif "default" in option:
            default = f"`{shown(option['default'])}`"
        else:
            default = ""
        text = " ".join(plain(part) for part in listed(option.get("description", [])))
        if option.get("choices"):
            text += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
        lines.append(f"| `{name}` | {kind} | {cell(default)} | {cell(text)} |")
        parent = f"{name}[]" if option.get("type") == "list" else name
        lines += suboptions(parent, option.get("options", {}))
    return lines


def suboptions(parent: str, options: dict[str, Any]) -> list[str]:
    lines = []
    for name, option in options.items():
        text = " ".join(plain(part) for part in listed(option.get("description", [])))
        default = (
            "*required*" if option.get("required") else f"`{shown(option['default'])}`" if "default" in option else ""
        )
        lines.append(f"| `{parent}.{name}` | {option.get('type', 'str')} | {cell(default)} | {cell(text)} |")
    return lines


def shown(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    return text if len(text) <= 120 else f"{text[:117]}..."


def plain(text: str) -> str:
    return re.sub(r"\b[COVMBI]\(([^)]*)\)", r"`\1`", " ".join(str(text).split()))


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    stale = []
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = path.parents[1]
        wanted = readme(role.name, yaml.safe_load(path.read_text(encoding="utf-8")))
        target = role / "README.md"
        if target.exists() and target.read_text(encoding="utf-8") == wanted:
            continue
        stale.append(role.name)
        if "--check" not in sys.argv:
            target.write_text(wanted, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"README out of date, run `make docs`: {', '.join(stale)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
