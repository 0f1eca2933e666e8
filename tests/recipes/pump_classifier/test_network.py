"""The classifier's network: what its weights may begin with, and what is read off a clip."""

import hashlib
import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from asd_jax.errors import UserError
from asd_jax.features import host
from asd_jax.recipes.pump_classifier import network as classifier_network
from asd_jax.recipes.pump_classifier import settings as classifier_settings
from asd_jax.runs.settings import from_config
from tests.data import server
from tests.runs.test_settings import get_config


def classifier(**changes):
    values = get_config("pump_classifier", "smoke")
    values.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return from_config(classifier_settings.PumpClassifier, values.to_dict())


def test_levels_are_moments_over_the_frames_of_each_clip():
    config = classifier()
    wave = (np.random.default_rng(0).normal(size=(2, 16000)) * [[300], [3000]]).astype(np.int16)
    found = jax.jit(classifier_network.level_moments(config))({}, wave)
    level = np.stack([host.level(clip, classifier_network.display(config)) for clip in wave])
    np.testing.assert_allclose(found["mean"], level.mean(-1), atol=2e-3)
    np.testing.assert_allclose(found["square"], (level**2).mean(-1), rtol=1e-3)
    np.testing.assert_allclose(found["deviation"], level.std(-1), atol=5e-3)
    power = np.square(wave / 32768).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found["level"], 10 * np.log10(power), atol=1e-3)


def test_an_absent_file_is_named():
    config = classifier(init_from="nowhere.safetensors")
    net = classifier_network.build(config)
    with pytest.raises(UserError, match=r"nowhere\.safetensors"):
        classifier_network.initial(config, net, jax.random.key(0))


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "tf_other.safetensors"
    safetensors.numpy.save_file({"conv_stem.weight": np.zeros((3, 3, 1, 1), np.float32)}, path)
    config = classifier(init_from=str(path))
    net = classifier_network.build(config)
    with pytest.raises(UserError, match="tensor"):
        classifier_network.initial(config, net, jax.random.key(0))


def test_weights_of_the_other_padding_never_load_in_silence(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"conv_stem.weight": np.zeros((3, 3, 1, 1), np.float32)}, path)
    config = classifier(init_from=str(path))
    with pytest.raises(UserError, match="tf_efficientnetv2_s"):
        classifier_network.initial(config, classifier_network.build(config), jax.random.key(0))


def test_a_name_is_fetched_from_the_hub(tmp_path, monkeypatch):
    content = safetensors.numpy.save({"conv_stem.weight": np.zeros((3, 3, 1, 1), np.float32)})
    name, sha256 = "tf_efficientnetv2_s.in21k_ft_in1k", hashlib.sha256(content).hexdigest()
    lfs = {"sha256": sha256, "size": len(content)}
    listing = {"sha": "9", "cardData": {"license": "apache-2.0"}}
    listing["siblings"] = [{"rfilename": "model.safetensors", "lfs": lfs}]
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with server.serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.files[f"/api/models/timm/{name}?blobs=true"] = json.dumps(listing).encode()
        hub.files[f"/timm/{name}/resolve/9/model.safetensors"] = content
        config = classifier(init_from=name)
        with pytest.raises(UserError, match="tensor"):  # it is read, and is of no network
            classifier_network.initial(config, classifier_network.build(config), jax.random.key(0))
    assert (tmp_path / "asd_jax/weights" / f"{name}.safetensors").read_bytes() == content
