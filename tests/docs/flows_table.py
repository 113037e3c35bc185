"""Write the flows into docs/zones-and-flows.md from the flow table; with --check, say whether they are out of date."""

from __future__ import annotations

import re
import sys

import page
import yaml

PAGE = page.ROOT / "docs/zones-and-flows.md"
HEAD = ("From", "To", "Port", "Purpose")
TABLE = page.ROOT / "roles/site/defaults/main/flows.yml"


def table() -> str:
    """Keep the headings of the flow table: its comments are the sections of the page's table."""
    parts: list[str] = []
    for section in re.split(r"\n\n(?=  # )", TABLE.read_text(encoding="utf-8").split("site_flows:\n", 1)[1].rstrip()):
        title = section.split("\n", 1)[0].strip().removeprefix("# ")
        parts.append(f"### {title}\n\n{page.table(HEAD, map(row, yaml.safe_load(section)))}")
    return "\n\n".join(parts)


def row(flow: dict[str, str]) -> tuple[str, ...]:
    port = f"{flow['port']}/{flow['protocol']}" if flow["port"] else flow["protocol"]
    return (flow["from"], flow["to"], port, flow["why"])


if __name__ == "__main__":
    sys.exit(page.keep(PAGE, "flows", table()))
