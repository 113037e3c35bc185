# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drawing of a site: its zones, hosts and flows as SVG. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple
from xml.sax.saxutils import escape

from ansible_collections.onprem.dify.plugins.module_utils.site import ENDPOINT_GROUPS, ZONE_OF_GROUP, ZONES

WIDTH = 1180
MARGIN = 24
COLUMN = {"outside": (24, 130), "dmz": (274, 206), "app": (600, 206), "data": (926, 230)}
TOP = 84
CARD = 50
STEP = 58
HEAD = 34
BETWEEN = 150
LINE = 15

# Legible on paper and on both kinds of screen: shapes have outlines, and no meaning is in a colour alone.
STYLE = """
  text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1c2733; }
  .title { font-size: 19px; font-weight: 600; } .zone { font-size: 14px; font-weight: 600; }
  .host { font-weight: 600; } .small { font-size: 11px; fill: #4a5866; } .port { font-size: 11px; }
  .page { fill: #ffffff; } .box { fill: #f3f6f9; stroke: #5b6b7b; } .card { fill: #ffffff; stroke: #8b99a7; }
  .virtual { fill: none; stroke: #5b6b7b; stroke-dasharray: 4 3; }
  .flow { stroke: #1c2733; stroke-width: 1.3; fill: none; } .tip { fill: #1c2733; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6ebf0; } .small { fill: #a9b6c2; } .page { fill: #12181f; } .box { fill: #1b242d; stroke: #8b99a7; }
    .card { fill: #25303b; stroke: #6d7c8a; } .virtual { stroke: #a9b6c2; }
    .flow { stroke: #e6ebf0; } .tip { fill: #e6ebf0; }
  }
  @media print {
    text, .small { fill: #000000; } .page, .box, .card { fill: #ffffff; stroke: #000000; } .page { stroke: none; }
    .flow, .virtual { stroke: #000000; } .tip { fill: #000000; }
  }
"""


class Box(NamedTuple):
    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def middle(self) -> int:
        return self.y + self.height // 2


def draw(site: Mapping[str, Any]) -> str:
    """Return the site as the text of an SVG file."""
    cards = {zone: _cards(site, zone) for zone in ZONES}
    boxes = _boxes(cards)
    arrows, lists = _sort_flows(site)
    body = [_text(MARGIN, 36, f"{site['name']}: zones, hosts and flows", "title")]
    body.append(_text(MARGIN, 56, f"{site['domain']} - what no flow names is dropped, in both directions", "small"))
    body += [part for zone in ZONES for part in _zone(site, zone, boxes[zone], cards[zone])]
    body += _outside(site, boxes)
    body += [part for pair, ports in sorted(arrows.items()) for part in _arrow(pair, ports, boxes)]
    listed, height = _lists(lists, max(box.bottom for box in boxes.values()) + 40)
    body += listed
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-size="12">\n'
    about = f"<title>{escape(site['name'])}: zones, hosts and flows</title>\n<style>{STYLE}</style>\n"
    return f'{head}{about}<rect class="page" width="{WIDTH}" height="{height}"/>\n' + "\n".join(body) + "\n</svg>\n"


def _cards(site: Mapping[str, Any], zone: str) -> List[Tuple[str, str, str, str]]:
    """Return style, name, address and groups of the hosts of a zone and of the addresses that move between them."""
    hosts = [
        ("card", name, host["address"], ", ".join(group for group in host["groups"] if ZONE_OF_GROUP[group] == zone))
        for name, host in site["hosts"].items()
        if zone in host["zones"]
    ]
    virtual = [
        ("virtual", name, address, "endpoint")
        for name, address in sorted(site["endpoints"].items())
        if ZONE_OF_GROUP.get(ENDPOINT_GROUPS.get(name, "")) == zone and hosts
    ]
    return virtual + hosts


def _boxes(cards: Mapping[str, Sequence[Any]]) -> Dict[str, Box]:
    height = max(HEAD + STEP * max(len(cards[zone]) for zone in ("dmz", "app", "data")) + 6, 230)
    boxes = {zone: Box(COLUMN[zone][0], TOP, COLUMN[zone][1], height) for zone in ("dmz", "app", "data")}
    x, right = boxes["dmz"].x, boxes["data"].right
    rows = -(-max(len(cards["ops"]), 1) // 4)
    boxes["ops"] = Box(x, TOP + height + BETWEEN, right - x, HEAD + STEP * rows + 6)
    left, width = COLUMN["outside"]
    boxes["users"] = Box(left, TOP + height // 2 - 30, width, 60)
    boxes["admin"] = Box(left, boxes["ops"].middle - 30, width, 60)
    return boxes


def _zone(site: Mapping[str, Any], zone: str, box: Box, cards: Sequence[Tuple[str, str, str, str]]) -> List[str]:
    network = site["zone_networks"].get(zone, "")
    parts = [_rect(box, "box", 8), _text(box.x + 12, box.y + 22, zone, "zone")]
    parts.append(_text(box.right - 12, box.y + 22, network, "small", "end"))
    columns = 4 if zone == "ops" else 1
    width = (box.width - 12 * (columns + 1)) // columns
    for number, (style, name, address, about) in enumerate(cards):
        place = Box(box.x + 12 + number % columns * (width + 12), box.y + HEAD + number // columns * STEP, width, CARD)
        parts += [_rect(place, style, 5), _text(place.x + 10, place.y + 20, name, "host")]
        parts.append(_text(place.right - 10, place.y + 20, address, "small", "end"))
        parts.append(_text(place.x + 10, place.y + 38, about, "small"))
    return parts


def _outside(site: Mapping[str, Any], boxes: Mapping[str, Box]) -> List[str]:
    parts = []
    for end, name, networks in (
        ("users", "users", site["user_networks"]),
        ("admin", "operators", site["admin_networks"]),
    ):
        box = boxes[end]
        more = f" +{len(networks) - 1}" if len(networks) > 1 else ""
        parts += [_rect(box, "box", 26), _text(box.x + box.width // 2, box.y + 26, name, "host", "middle")]
        shown = f"{networks[0]}{more}" if networks else "none"
        parts.append(_text(box.x + box.width // 2, box.y + 44, shown, "small", "middle"))
    return parts


def _sort_flows(
    site: Mapping[str, Any],
) -> Tuple[Dict[Tuple[str, str], List[str]], Dict[str, List[Tuple[str, str]]]]:
    """Return the flows that are arrows between zones, and those that are better read as a list."""
    arrows: Dict[Tuple[str, str], List[str]] = {}
    lists: Dict[str, List[Tuple[str, str]]] = {
        "Every host": [],
        "Inside a zone": [],
        "Out of the site, and operators": [],
    }
    for flow in site["flows"]:
        ends = [_end(flow["from"]), _end(flow["to"])]
        port = _port(flow)
        if ends[0] == ends[1] and ends[0] in ZONES:
            lists["Inside a zone"].append((f"{flow['from']} → {flow['to']}", port))
        elif "all" in ends:
            lists["Every host"].append((_sentence(flow), port))
        elif {*ends} <= {*ZONES} or ends in (["users", "dmz"], ["admin", "ops"]):
            arrows.setdefault((ends[0], ends[1]), []).append(port)
        else:
            lists["Out of the site, and operators"].append((_sentence(flow), port))
    return arrows, lists


def _end(end: str) -> str:
    return ZONE_OF_GROUP.get(end, end)


def _sentence(flow: Mapping[str, Any]) -> str:
    words = {"all": "every host", "admin": "operators"}
    return f"{words.get(flow['from'], flow['from'])} → {words.get(flow['to'], flow['to'])}"


def _port(flow: Mapping[str, Any]) -> str:
    if not flow["port"]:
        return str(flow["protocol"])
    return str(flow["port"]) if flow["protocol"] == "tcp" else f"{flow['port']}/{flow['protocol']}"


def _arrow(pair: Tuple[str, str], ports: Sequence[str], boxes: Mapping[str, Box]) -> List[str]:
    start, end = boxes[pair[0]], boxes[pair[1]]
    forward = list(COLUMN).index(_column(pair[0])) <= list(COLUMN).index(_column(pair[1]))
    if "ops" in pair and "admin" not in pair:
        return _vertical(start, end, ports, down=pair[1] == "ops")
    if {pair[0], pair[1]} == {"dmz", "data"}:
        return _over_the_top(start, end, ports)
    y = end.middle if pair[0] in ("users", "admin") else start.y + (70 if forward else 150)
    x1, x2 = (start.right, end.x - 7) if forward else (start.x, end.right + 7)
    label = _wrapped(ports, 16)
    left = min(x1, x2)
    parts = [_line(x1, y, x2, y), _tip(x2, y, "right" if forward else "left")]
    first = y - 7 - LINE * (len(label) - 1)
    middle = left + abs(x2 - x1) // 2
    return parts + [_text(middle, first + LINE * row, text, "port", "middle") for row, text in enumerate(label)]


def _column(end: str) -> str:
    return end if end in COLUMN else "data" if end == "ops" else "outside"


def _vertical(start: Box, end: Box, ports: Sequence[str], down: bool) -> List[str]:
    zone = start if down else end
    x = zone.x + (30 if down else zone.width // 2 + 20)
    y1, y2 = (start.bottom, end.y - 7) if down else (start.y, end.bottom + 7)
    label = _wrapped(ports, 11)
    top = min(y1, y2) + abs(y2 - y1) // 2 - LINE * (len(label) - 1) // 2 + 4
    parts = [_line(x, y1, x, y2), _tip(x, y2, "down" if down else "up")]
    return parts + [_text(x + 7, top + LINE * row, text, "port") for row, text in enumerate(label)]


def _over_the_top(start: Box, end: Box, ports: Sequence[str]) -> List[str]:
    x1, x2, y = start.x + start.width // 2, end.x + end.width // 2, start.y - 12
    path = f'<path class="flow" d="M{x1},{start.y} V{y} H{x2} V{end.y - 7}"/>'
    return [path, _tip(x2, end.y - 7, "down"), _text((x1 + x2) // 2, y - 5, ", ".join(_once(ports)), "port", "middle")]


def _lists(lists: Mapping[str, Sequence[Tuple[str, str]]], top: int) -> Tuple[List[str], int]:
    parts: List[str] = []
    width = (WIDTH - 2 * MARGIN) // 3
    bottom = top
    for number, (title, entries) in enumerate(lists.items()):
        x, y = MARGIN + number * width, top
        parts.append(_text(x, y, title, "zone"))
        grouped: Dict[str, List[str]] = {}
        for sentence, port in entries:
            grouped.setdefault(sentence, []).append(port)
        for sentence, ports in grouped.items():
            y += 18
            parts.append(_text(x, y, f"{sentence}  {', '.join(_once(ports))}", "port"))
        bottom = max(bottom, y)
    note = "Numbers are TCP ports unless they say otherwise. Dashed boxes are addresses that move between hosts."
    parts.append(_text(MARGIN, bottom + 34, note, "small"))
    return parts, bottom + 52


def _wrapped(ports: Sequence[str], width: int) -> List[str]:
    rows: List[str] = []
    for port in _once(ports):
        if rows and len(rows[-1]) + len(port) + 2 <= width:
            rows[-1] += f", {port}"
        else:
            rows.append(port)
    return rows


def _once(ports: Sequence[str]) -> List[str]:
    return sorted(
        set(ports),
        key=lambda port: (
            not port[0].isdigit(),
            int(port.split("/")[0].split("-")[0]) if port[0].isdigit() else 0,
            port,
        ),
    )


def _rect(box: Box, style: str, radius: int) -> str:
    return f'<rect class="{style}" x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="{radius}"/>'


def _text(x: int, y: int, text: str, style: str, anchor: str = "start") -> str:
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{style}" x="{x}" y="{y}"{at}>{escape(text)}</text>'


def _line(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<line class="flow" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _tip(x: int, y: int, way: str) -> str:
    dx, dy = {"right": (7, 0), "left": (-7, 0), "down": (0, 7), "up": (0, -7)}[way]
    side = [(x + dx, y + dy), (x - dy * 4 // 7, y - dx * 4 // 7), (x + dy * 4 // 7, y + dx * 4 // 7)]
    return f'<polygon class="tip" points="{" ".join(f"{px},{py}" for px, py in side)}"/>'
