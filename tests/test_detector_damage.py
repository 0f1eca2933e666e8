"""Detectors that are damaged, mixed up or forged: one sentence, and neither traceback nor score."""

import copy
import json
import os
import shutil
import zipfile

import jaxtyping
import numpy as np
import pytest

from asd_jax import detector_folder
from asd_jax.cached_program import CachedProgram
from asd_jax.detector import load_detector
from asd_jax.detector_folder import read_arrays, read_folder, write_folder
from asd_jax.errors import UserError
from asd_jax.files import plain
from tests.deploy import detectors
from tests.recipes import tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A detector of each recipe, by recipe."""
    root = tmp_path_factory.mktemp("detectors")
    with tiny.in_place(tmp_path_factory):
        jaxtyping.config.update("jaxtyping_disable", True)  # damage has any shape
        found = {"ensemble": detectors.ensemble("knn"), "pump_classifier": detectors.classifier()}
        for recipe, made in found.items():
            made.save(str(root / recipe))
        yield {recipe: root / recipe for recipe in found}
        jaxtyping.config.update("jaxtyping_disable", False)


RECIPES = ("ensemble", "pump_classifier")


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_was_saved_comes_back(folders, recipe):
    about, arrays = read_folder(str(folders[recipe]))
    with np.load(folders[recipe] / "arrays.npz", allow_pickle=False) as file:
        assert arrays.keys() == set(file.files)
        for name, value in arrays.items():
            np.testing.assert_array_equal(value, file[name])
            assert value.flags.writeable
    assert load_detector(str(folders[recipe])).about().keys() <= about.keys()


def mutated(data, rng):
    """The bytes with one accident."""
    place, kind = int(rng.integers(len(data))), rng.integers(5)
    if kind == 0:
        return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
    if kind == 1:
        return data[:place] + rng.bytes(1 + int(rng.integers(8))) + data[place:]
    if kind == 2:
        return data[:place]
    if kind == 3:
        return data[:place] + data[place + 1 + int(rng.integers(8)) :]
    return data[:place] + bytes(min(8, len(data) - place)) + data[place + 8 :]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ["detector.json", "arrays.npz"])
def test_every_mutation_is_one_sentence(folders, recipe, name, tmp_path):
    place, rng = tmp_path / "detector", np.random.default_rng(0)
    shutil.copytree(folders[recipe], place)
    whole = (place / name).read_bytes()
    for _ in range(150):
        data = mutated(whole, rng)
        if data == whole:
            continue
        (place / name).write_bytes(data)
        try:
            load_detector(str(place))
        except UserError as error:
            assert "\n" not in str(error) and str(place) in str(error)
        else:  # only what JSON does not care for
            assert name == "detector.json" and json.loads(data) == json.loads(whole)


def test_files_of_two_saves_are_no_detector(folders, tmp_path):
    about, arrays = read_folder(str(folders["ensemble"]))
    write_folder(str(tmp_path), about, arrays | {"thresholds": arrays["thresholds"] + 1})
    shutil.copy(folders["ensemble"] / "detector.json", tmp_path)
    with pytest.raises(UserError, match="of two detectors"):
        load_detector(str(tmp_path))


JUNK = (None, True, -1, 1e30, "", "x\n\x1b[31m", [], [[]], {}, {"a": {"b": []}}, [1, "a", None])


def places(value, path=()):
    """Every place in nested JSON."""
    yield path
    pairs = {dict: lambda: value.items(), list: lambda: enumerate(value[:2])}
    for key, below in pairs.get(type(value), tuple)():
        yield from places(below, (*path, key))


@pytest.mark.parametrize("recipe", RECIPES)
def test_forged_settings_are_one_sentence_or_a_detector(folders, recipe, tmp_path):
    about, arrays = read_folder(str(folders[recipe]))
    about, rng, refused = plain(about), np.random.default_rng(1), 0
    found = [path for path in places(about) if path]
    for number in rng.choice(len(found), min(len(found), 120), replace=False):
        forged = copy.deepcopy(about)
        *above, last = found[number]
        node = forged
        for key in above:
            node = node[key]
        node[last] = JUNK[rng.integers(len(JUNK))]
        write_folder(str(tmp_path), {k: v for k, v in forged.items() if k != "format"}, arrays)
        try:
            load_detector(str(tmp_path))
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and str(tmp_path) in str(error)
    assert refused > 20


WRONG = {
    "gone": lambda value: None,
    "nan": lambda value: np.full_like(value, np.nan),
    "infinite": lambda value: np.full_like(value, np.inf),
    "integers": lambda value: np.zeros(value.shape, np.int64),
    "text": lambda value: np.full(value.shape, "a"),
    "another axis": lambda value: np.stack([value] * 2),
    "too long": lambda value: np.resize(value, (value.shape[0] + 1, *value.shape[1:])),
}
CHECKED = {
    "ensemble": (
        "thresholds",
        "frame_mean",
        "scorers/statistics/1/factors",
        "scorers/early_layers/2/mean",
    ),
    "pump_classifier": ("normal_scores/0", "frame_std", "calibration"),
}


FINE = {("nan", "thresholds"), ("too long", "normal_scores/0"), ("gone", "calibration")}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("recipe", "name"), [(recipe, name) for recipe in RECIPES for name in CHECKED[recipe]]
)
def test_forged_arrays_are_one_sentence(folders, recipe, name, wrong, tmp_path):
    if (wrong, name) in FINE:
        pytest.skip("means no threshold; any number of clips; of before there was one")
    if wrong == "infinite" and name.startswith("scorers"):
        pytest.skip("a density may be")
    if wrong == "integers" and name.startswith("scorers"):
        pytest.skip("numbers all the same")
    about, arrays = read_folder(str(folders[recipe]))
    value = WRONG[wrong](arrays.pop(name))
    write_folder(str(tmp_path), about, arrays if value is None else {**arrays, name: value})
    with pytest.raises(UserError, match=r"cannot use|lacks"):
        load_detector(str(tmp_path))


def test_networks_that_do_not_fit_their_settings_are_one_sentence(folders, tmp_path):
    about, arrays = read_folder(str(folders["ensemble"]))
    name = next(n for n in arrays if n.startswith("variables/temporal") and arrays[n].ndim == 2)
    write_folder(str(tmp_path), about, arrays | {name: arrays[name][:-1]})
    with pytest.raises(UserError, match=r"cannot use .*kernel"):
        load_detector(str(tmp_path))


def test_arrays_that_no_program_takes_are_one_sentence():
    traced = CachedProgram(lambda: lambda arrays, waves: arrays @ waves, np.ones((2, 3)), {})
    for _ in range(2):
        with pytest.raises(UserError, match="do not fit its settings"):
            traced(np.ones(4))
    np.testing.assert_array_equal(traced(np.ones(3)), [3, 3])


def test_sizes_are_bounded_before_they_are_read(folders, tmp_path, monkeypatch):
    place = tmp_path / "detector"
    shutil.copytree(folders["ensemble"], place)
    os.truncate(place / "arrays.npz", detector_folder.LARGEST["arrays.npz"] + 1)  # a hole
    with pytest.raises(UserError, match=r"arrays.npz has more than"):
        load_detector(str(place))
    (place / "detector.json").unlink()
    os.mkfifo(place / "detector.json")
    with pytest.raises(UserError, match="is not a file"):
        load_detector(str(place))


def test_an_array_is_no_larger_than_its_bytes(tmp_path):
    header = str({"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}).encode()
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)
    cases = {"claims": (npy, zipfile.ZIP_STORED), "unfolds": (bytes(10**7), zipfile.ZIP_DEFLATED)}
    for name, (data, how) in cases.items():
        with zipfile.ZipFile(tmp_path / name, "w", how) as file:
            file.writestr("a.npy", data)
        with pytest.raises(ValueError, match="its arrays are damaged"):
            read_arrays((tmp_path / name).read_bytes())


def test_deep_and_endless_json_is_one_sentence(folders, tmp_path):
    shutil.copy(folders["ensemble"] / "arrays.npz", tmp_path)
    for text in ("[" * 100_000, '{"format": 1e999}', '{"format": NaN}', json.dumps([1]), "\udcff"):
        (tmp_path / "detector.json").write_text(text, errors="surrogateescape")
        with pytest.raises(UserError, match="holds no detector"):
            load_detector(str(tmp_path))
