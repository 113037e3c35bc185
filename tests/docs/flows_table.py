"""Write the flows into docs/zones-and-flows.md from the flow table; with --check, say whether they are out of date."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/zones-and-flows.md"
TABLE = ROOT / "roles/site/defaults/main/flows.yml"
BEGIN, END = "<!-- flows: made by `make docs` -->", "<!-- end of flows -->"


def table() -> str:
    """Keep the headings of the flow table: its comments are the sections of the page's table."""
    parts: list[str] = []
    for section in re.split(r"\n\n(?=  # )", TABLE.read_text(encoding="utf-8").split("site_flows:\n", 1)[1].rstrip()):
        title = section.split("\n", 1)[0].strip().removeprefix("# ")
        rows = [
            "| From | To | Port | Purpose |",
            "| --- | --- | --- | --- |",
            *(row(flow) for flow in yaml.safe_load(section)),
        ]
        parts.append(f"### {title}\n\n" + "\n".join(rows))
    return "\n\n".join(parts)


def row(flow: dict[str, str | int]) -> str:
    port = f"{flow['port']}/{flow['protocol']}" if flow["port"] else flow["protocol"]
    return f"| {flow['from']} | {flow['to']} | {port} | {flow['why']} |"


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    made = f"{BEGIN}\n\n{table()}\n\n{END}"
    fresh = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _match: made, text, flags=re.S)
    if fresh == text:
        return 0
    if "--check" in sys.argv:
        print(f"{PAGE.relative_to(ROOT)} is out of date, run `make docs`")
        return 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
