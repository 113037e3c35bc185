"""Images of the lab: the same for the same files, and readable by the tools that know OCI."""

import gzip
import hashlib
import json
import tarfile

import pytest

from lab.artifacts import images, laid_out, layout


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "program"
    file.write_text("what runs")
    file.chmod(0o755)
    return file


def make(folder, program, **content):
    made = layout.Layout(folder, "amd64")
    layer = made.layer(layout.Content(files={"usr/bin/program": program}, folders=["tmp"], **content))
    digest = made.image("registry.example/program:v1", [layer], {"Entrypoint": ["/usr/bin/program"]})
    made.finish()
    return digest, made.blobs / layer.digest.removeprefix("sha256:")


def test_an_image_is_the_same_whenever_it_is_made(tmp_path, program):
    first, _ = make(tmp_path / "one", program)
    program.touch()
    assert (
        make(tmp_path / "two", program)[0] == first == laid_out.images(tmp_path / "two")["registry.example/program:v1"]
    )
    program.write_text("something else")
    assert make(tmp_path / "three", program)[0] != first


def test_every_blob_has_the_digest_of_its_name(tmp_path, program):
    _, layer = make(tmp_path / "made", program)
    for blob in layer.parent.iterdir():
        assert blob.name == hashlib.sha256(blob.read_bytes()).hexdigest()
    config = next(json.loads(blob.read_text()) for blob in layer.parent.iterdir() if b'"rootfs"' in blob.read_bytes())
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(gzip.decompress(layer.read_bytes())).hexdigest()}"]


def test_a_layer_holds_files_links_and_the_folders_that_they_need(tmp_path, program):
    _, layer = make(tmp_path / "made", program, links={"bin/sh": "busybox"}, listens="usr/bin/program")
    with tarfile.open(layer) as tar:
        members = {member.name: member for member in tar}
    assert list(members) == ["bin", "bin/sh", "tmp", "usr", "usr/bin", "usr/bin/program"]
    assert members["bin/sh"].linkname == "busybox"
    assert (members["tmp"].mode, members["usr/bin/program"].mode) == (0o1777, 0o755)
    assert "SCHILY.xattr.security.capability" in members["usr/bin/program"].pax_headers
    assert {member.uid for member in members.values()} == {0}


def test_images_have_the_names_of_their_makers():
    both = [image for members in images.SETS.values() for image in members]
    names = {images.reference(image) for image in both}
    assert {"registry.k8s.io/pause:3.10.2", "registry.k8s.io/coredns/coredns:v1.14.2"} < names
    assert len(names) == len(both)
    assert all(":" in name and "{" not in name for name in names)


def test_some_images_go_into_an_archive_with_all_that_they_need_and_nothing_else(tmp_path, program):
    made = layout.Layout(tmp_path / "made", "amd64")
    layers = [made.layer(layout.Content(files={name: program})) for name in ("one", "two")]
    for number, layer in enumerate(layers):
        made.image(f"registry.example/image{number}:v1", [layer], {})
    made.finish()
    laid_out.export(tmp_path / "made", ["registry.example/image1:v1"], tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as tar:
        names = tar.getnames()
        index = json.load(tar.extractfile("index.json"))
    assert [entry["annotations"][layout.NAMES[1]] for entry in index["manifests"]] == ["registry.example/image1:v1"]
    blobs = {name for name in names if name.startswith("blobs/")}
    # An index, a manifest, a configuration and a layer.
    assert len(blobs) == 4
    assert f"blobs/sha256/{layers[1].digest.removeprefix('sha256:')}" in blobs


def test_all_that_an_image_needs_comes_before_what_names_it(tmp_path, program):
    digest, layer = make(tmp_path / "made", program)
    pieces = list(laid_out.pieces(tmp_path / "made", digest))
    assert {piece.path for piece in pieces} == set(layer.parent.iterdir())
    assert [piece.media_type for piece in pieces] == ["", "", layout.MANIFEST, layout.INDEX]
    assert (pieces[1].path, pieces[-1].digest) == (layer, digest)
    for place, piece in enumerate(pieces):
        text = piece.path.read_bytes() if piece.media_type else b""
        assert all(one.digest.encode() not in text for one in pieces[place + 1 :])
