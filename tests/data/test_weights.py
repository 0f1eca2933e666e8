"""timm's weights by name come from the hub once, whole and checked, or a sentence says why not."""

import hashlib
import json
import pathlib

import pytest

from asd_jax.data.download import weights
from asd_jax.data.download.responses import Patience
from asd_jax.errors import UserError
from tests.data import server as bad

CONTENT = bytes(k * 7919 % 251 for k in range(1000)) * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
NAME = "tf_efficientnet_b0.ns_jft_in1k"  # no hash of it is known here
API = f"/api/models/timm/{NAME}?blobs=true"
FILE = f"/timm/{NAME}/resolve/4f2a/model.safetensors"


def listing(sha256: str = SHA, licence: str = "apache-2.0") -> bytes:
    blob = {"rfilename": "model.safetensors", "lfs": {"sha256": sha256, "size": len(CONTENT)}}
    siblings = [{"rfilename": "README.md", "size": 3}, blob]
    return json.dumps(
        {"sha": "4f2a", "cardData": {"license": licence}, "siblings": siblings}
    ).encode()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with bad.serving() as server:
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        server.files |= {API: listing(), FILE: CONTENT}
        yield server


def find(given=NAME, network="efficientnet_b0"):
    patience = Patience(attempts=2, sleep=lambda seconds: None)
    return weights.find(given, network, patience=patience)


def test_a_name_is_fetched_once_with_hash_and_licence_beside_it(hub):
    path = pathlib.Path(find())
    assert path.name.startswith("tf_") and path.read_bytes() == CONTENT
    note = json.loads(path.with_name(path.name + ".json").read_text())
    assert note["sha256"] == SHA and note["licence"] == "apache-2.0"
    assert note["url"] == hub.url + FILE  # of the revision, not of 'main'
    asked = len(hub.requests)
    assert find() == str(path) and len(hub.requests) == asked


def test_a_file_that_has_changed_is_fetched_anew(hub):
    path = pathlib.Path(find())
    path.write_bytes(CONTENT[:-1])
    assert pathlib.Path(find()).read_bytes() == CONTENT


def test_another_file_than_the_listed_one_is_never_kept(hub, tmp_path):
    hub.files[FILE] = bytes(len(CONTENT))
    with pytest.raises(UserError, match=r"init_from.*wrong checksum.*HF_ENDPOINT"):
        find()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_break_goes_on_where_it_was(hub):
    hub.moods[FILE].append(bad.CUT)
    assert pathlib.Path(find()).read_bytes() == CONTENT
    assert hub.ranges("model.safetensors")[1] != ""


def test_a_known_name_must_have_the_known_hash(hub):
    hub.files["/api/models/timm/tf_efficientnetv2_s.in1k?blobs=true"] = listing()
    with pytest.raises(UserError, match="b8a4b5462df6"):
        find("tf_efficientnetv2_s.in1k", "efficientnetv2_s")
    assert not hub.ranges("model.safetensors")


def test_a_licence_that_must_be_agreed_to_is_left_to_the_user(hub):
    hub.files[API] = listing(licence="other")
    with pytest.raises(UserError, match=r"'other'.*give its path"):
        find()
    assert not hub.ranges("model.safetensors")


@pytest.mark.parametrize("answer", [None, b"[]", b"{}", b'{"sha": "1", "siblings": []}'])
def test_a_hub_that_does_not_have_it_is_named(hub, answer):
    hub.files[API] = answer
    with pytest.raises(UserError, match=f"tells no model.safetensors of timm/{NAME}"):
        find()


def test_weights_of_another_network_or_padding_are_refused_before_a_request(hub):
    for given, network in (
        (NAME, "efficientnetv2_s"),
        ("efficientnet_b0.ra_in1k", "efficientnet_b0"),
        ("resnet50.a1_in1k", "ghostnetv2"),
    ):
        with pytest.raises(UserError, match="neither a file nor the name"):
            find(given, network)
    assert not hub.requests


def test_paths_are_left_as_they_are(hub, tmp_path):
    (tmp_path / "mine").write_bytes(b"")
    for given in (str(tmp_path / "mine"), "nowhere.safetensors", "some/where"):
        assert find(given) == given
    assert not hub.requests
