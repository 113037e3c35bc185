"""Images of what runs in pods, from scratch, under the names of their makers: own programs and a little of Debian."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path

from ..debian import bundle
from ..progress import Progress
from ..sources import of_this_machine
from . import dify_contract, golang, programs, store
from .image import Image
from .layout import Content, Layer, Layout
from .store import Artifact, Workshop

SUITE = "bookworm"
BUSYBOX = ("busybox-static",)
# What changes the tables of the kernel, for programs that call others to do it.
NETFILTER = (*BUSYBOX, "conntrack", "iproute2", "ipset", "iptables", "nftables")
# A static busybox cannot look up names.
CLIENT = ("busybox", "curl")
PACKAGES = {"busybox": BUSYBOX, "netfilter": NETFILTER, "client": CLIENT, "nginx": ("nginx",), "squid": ("squid",)}
SHELL = (
    "cat",
    "cp",
    "find",
    "head",
    "hostname",
    "ip",
    "ls",
    "mkdir",
    "nc",
    "nslookup",
    "ping",
    "rm",
    "seq",
    "sh",
    "sleep",
    "wget",
)
# Of their files: what runs, and nothing that tells where they came from.
WANTED = (
    *("bin/", "etc/protocols", "etc/services", "etc/squid/", "lib/", "lib64/", "sbin/", "usr/bin/", "usr/lib/"),
    *("usr/sbin/", "usr/share/squid/", "usr/share/squid-langpack/"),
)
UNWANTED = tuple(f"usr/lib/{part}/" for part in ("x86_64-linux-gnu/gconv", "x86_64-linux-gnu/perl", "systemd"))
# A script of their package makes these links when it is installed.
TABLES = tuple(f"{name}{part}" for name in ("iptables", "ip6tables") for part in ("", "-restore", "-save"))
OWN = {release.component: release for release in programs.RELEASES}


def of_servers(component: str) -> list[Image]:
    return [
        Image(
            component,
            {f"usr/local/bin/{name}": name},
            f"registry.k8s.io/{name}:v{{v}}",
            base="netfilter" if name == "kube-proxy" else "",
        )
        for name in programs.SERVERS
    ]


IMAGES = (
    *of_servers("kubernetes"),
    Image(
        "etcd",
        {f"usr/local/bin/{name}": name for name in ("etcd", "etcdctl", "etcdutl")},
        "registry.k8s.io/etcd:{v}-0",
    ),
    Image(
        "coredns",
        {"coredns": "coredns"},
        settings={"Entrypoint": ["/coredns"], "User": "65532:65532"},
        listens="coredns",
    ),
    Image("pause", {"pause": "pause"}, settings={"Entrypoint": ["/pause"], "User": "65535:65535"}),
    Image(
        "flannel",
        {"opt/bin/flanneld": "flanneld", "opt/bin/install-conf": "install-conf"},
        base="netfilter",
        settings={"Entrypoint": ["/opt/bin/flanneld"]},
    ),
    Image("flannel-cni-plugin", {"flannel": "flannel"}, base="busybox"),
    Image(
        "kube-network-policies",
        {"bin/netpol": "netpol"},
        "registry.k8s.io/networking/kube-network-policies:v{v}",
        settings={"Cmd": ["/bin/netpol"]},
    ),
    Image(
        "kube-router",
        {"usr/local/bin/kube-router": "kube-router"},
        "docker.io/cloudnativelabs/kube-router:v{v}",
        base="netfilter",
        settings={"Entrypoint": ["/usr/local/bin/kube-router"]},
    ),
    # What Kubernetes tests itself with, as server and as client.
    Image(
        "kubernetes",
        {"agnhost": "agnhost"},
        "registry.k8s.io/e2e-test-images/agnhost:2.63.0",
        base="client",
        settings={"Entrypoint": ["/agnhost"], "Cmd": ["pause"]},
    ),
)


# Those of the version before: what else there is stays as it is when a cluster is upgraded.
SETS = {
    "images": IMAGES,
    "images-dify": dify_contract.IMAGES,
    "images-previous": tuple(of_servers("kubernetes-previous")),
}


def reference(image: Image) -> str:
    """The name that the pins give to an image, or the one that goes with the version of its component."""
    if image.reference:
        return image.reference.format(v=OWN[image.component].version)
    name, _, part = image.component.partition("-")
    pinned = [one for pin in (image.component, name) for one in bundle().get(pin, {}).get("images") or []]
    last = image.component if part else name
    return next(f"{one['name']}:{one['tag']}" for one in pinned if one["name"].rpartition("/")[2] == last)


def artifact(component: str = "images") -> Artifact:
    members = SETS[component]
    used = sorted({image.component for image in members} & set(OWN))
    recipe = [[reference(image), *map(str, astuple(image))] for image in members]
    packages = {image.base: PACKAGES[image.base] for image in members if image.base}
    keys = [golang.artifact(OWN[name]).key for name in used]
    return Artifact(
        component=component,
        version=OWN["kubernetes"].version,
        groups=OWN["kubernetes"].groups,
        ingredients=json.dumps([recipe, keys, packages, SHELL, WANTED, UNWANTED])
        + Path(__file__).with_name("layout.py").read_text(),
        build=lambda workshop: build(workshop, members),
        pin=lambda folder, url: {},
    )


def build(workshop: Workshop, members: Iterable[Image]) -> None:
    layout = Layout(workshop.folder, golang.ARCHITECTURE)
    found: dict[str, Mapping[str, Path]] = {}
    bases: dict[str, Layer] = {}
    for image in members:
        if image.component not in found:
            found[image.component] = _programs_of(workshop, image.component)
        if image.base and image.base not in bases:
            bases[image.base] = layout.layer(_of_debian(workshop, image.base, PACKAGES[image.base]))
        files = {path: found[image.component][name] for path, name in image.programs.items()}
        for path, text in image.documents.items():
            files[path] = workshop.scrap / path.replace("/", "_")
            files[path].write_text(text, encoding="utf-8")
        own = layout.layer(Content(files, image.links, ["tmp", *image.folders], image.listens))
        layout.image(reference(image), [*([bases[image.base]] if image.base else []), own], image.settings)
    layout.finish()


def _programs_of(workshop: Workshop, component: str) -> dict[str, Path]:
    if component == "pause":
        return {"pause": _pause(workshop)}
    release = OWN[component]
    source = store.ensure(workshop.lab, workshop.members, golang.artifact(release), Progress())
    if not release.archive:
        return {path.name: path for path in source.iterdir()}
    archive = source if source.is_file() else source / release.named(release.archive)
    target = workshop.scrap / release.component
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return {path.name: path for path in target.rglob("*") if path.is_file()}


def _pause(workshop: Workshop) -> Path:
    """The only program of Kubernetes in C, from its module."""
    target = workshop.scrap / "pause"
    version = bundle()["pause"]["version"]
    with golang.source(workshop, "kubernetes", "k8s.io/kubernetes") as folder:
        options: list[str | Path] = ["-Os", "-Wall", "-static", "-s", f"-DVERSION=v{version}", "-o", target]
        workshop.run("gcc", *options, folder / "build/pause/linux/pause.c")
    return target


def _of_debian(workshop: Workshop, name: str, packages: Iterable[str]) -> Content:
    """Files of packages and of what they need, as they lie in the archive."""
    top = workshop.scrap / f"debian-{name}"
    options = ["--mode=root", "--variant=extract", "--format=directory", f"--include={','.join(packages)}"]
    options.append('--aptopt=Acquire::Check-Valid-Until "false"')
    entry = of_this_machine().entries(SUITE)[0]
    workshop.run("mmdebstrap", *options, SUITE, top, entry, environment={"TMPDIR": str(workshop.scrap)})
    files = {}
    for path in sorted(top.rglob("*")):
        inside = str(path.relative_to(top))
        wanted = inside.startswith(WANTED) and not inside.startswith(UNWANTED)
        if wanted and (path.is_symlink() or path.is_file()):
            files[inside] = path
    links = {f"bin/{one}": "busybox" for one in SHELL if f"bin/{one}" not in files}
    if "usr/sbin/xtables-nft-multi" in files:
        links |= {f"usr/sbin/{one}": "xtables-nft-multi" for one in TABLES}
    return Content(files=files, links=links)
