"""The drawing shows every host and every flow of the site."""

from __future__ import annotations

from xml.etree import ElementTree

from ansible_collections.onprem.dify.plugins.module_utils.drawing import draw

from .test_firewall import ADDRESSES, FLOWS, make_site


def texts(**settings) -> list[str]:
    drawing = ElementTree.fromstring(draw(make_site(**settings)))
    return [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}text")]


def test_every_host_is_drawn_with_its_address():
    shown = texts()
    assert {*ADDRESSES, *ADDRESSES.values()} <= {*shown}


def test_every_port_of_every_flow_is_named():
    shown = " ".join(texts(services={"dns": ["10.0.0.1"]}, user_networks=["10.0.0.0/8"]))
    for flow in make_site(services={"dns": ["10.0.0.1"]}, user_networks=["10.0.0.0/8"])["flows"]:
        assert flow["port"] in shown, flow


def test_a_flow_between_any_two_zones_finds_its_way():
    ends = ["gateway", "workers", "database", "mirror"]
    flows = [
        {"from": one, "to": other, "port": "1234", "protocol": "tcp", "why": "x"}
        for one in ends
        for other in ends
        if one != other
    ]
    assert texts(flows=flows).count("1234") == len(flows)


def test_names_from_the_inventory_cannot_break_the_file():
    assert "a<b>&c: zones, hosts and flows" in texts(name="a<b>&c", flows=FLOWS)
