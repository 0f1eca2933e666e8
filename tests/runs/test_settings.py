"""Settings: every config file builds, wrong fields are named, paper numbers are in their place."""

import importlib.util
import pathlib

import pytest

from asd_jax import recipes
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import backends, settings
from asd_jax.runs.recipe import run
from asd_jax.runs.settings import Data, Schedule, as_config, from_config
from asd_jax.runs.workdir import Workdir

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"


def get_config(name, argument=""):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(argument)


def ensemble(argument=""):
    return from_config(settings.Ensemble, get_config("ensemble", argument).to_dict())


@pytest.mark.parametrize(
    "argument",
    ["", "quickstart", "alike", "smoke", "mimii", "dcase2020", "mimii_due", "dcase2023", "folder"],
)
@pytest.mark.parametrize("protocol", ["recommended", "literal"])
def test_every_argument_builds(argument, protocol):
    words = [w for w in (argument, "literal" if protocol == "literal" else "") if w]
    assert ensemble(",".join(words)).protocol == protocol


def test_full_schedule_is_the_papers_section_3_2():
    config = ensemble("mimii,literal")
    assert (config.features.n_mels, config.features.hop_length, config.features.n_fft) == (
        224,
        512,
        2048,
    )
    stages = (config.pretrain, config.finetune, config.temporal, config.fusion)
    assert [s.epochs for s in stages] == [50, 50, 200, 20]
    assert [s.batch_size for s in stages] == [128, 64, 128, 128]
    backbone, auxiliary = config.pretrain.backbone, config.pretrain.auxiliary
    assert (backbone.kind, backbone.learning_rate, backbone.weight_decay) == ("sgd", 0.05, 0.005)
    assert (auxiliary.kind, auxiliary.learning_rate) == ("adamw", 0.01)
    assert (config.finetune.margin, config.finetune.alpha, config.finetune.beta) == (
        0.05,
        0.01,
        0.005,
    )
    assert config.augment.mix_ratio == 0.4
    assert config.scoring.weights == (0.9, 0.1)


def test_a_detector_of_an_older_version_still_loads():
    values = as_config(settings.Ensemble()).to_dict()
    old = values | {"statistics": values["statistics"] | {"weights": "clip"}}
    assert from_config(settings.Ensemble, old) == settings.Ensemble()
    other = values | {"statistics": values["statistics"] | {"weights": "train"}}
    with pytest.raises(UserError, match=r"config\.statistics\.weights is not a field"):
        from_config(settings.Ensemble, other)


def test_a_run_of_an_older_version_goes_on(tmp_path):
    values = as_config(settings.Ensemble()).to_dict()
    old = values | {"statistics": values["statistics"] | {"weights": "clip"}}
    Workdir.open(str(tmp_path), old, values)
    Workdir.open(str(tmp_path), values, values)
    with pytest.raises(UserError, match="another config"):
        Workdir.open(str(tmp_path), values | {"seed": 1}, values)


def test_a_run_without_fields_that_were_added_since_goes_on_with_their_defaults(tmp_path):
    values = as_config(settings.Ensemble()).to_dict()
    old = {name: value for name, value in values.items() if name != "compute"}
    old["data"] = {n: v for n, v in values["data"].items() if n not in ("classes", "clusters")}
    Workdir.open(str(tmp_path), old, values)
    Workdir.open(str(tmp_path), values, values)
    now = values | {"data": values["data"] | {"clusters": 5}}
    said = r"\(data\.clusters: 3 there by default, being of an earlier version, 5 now\)"
    with pytest.raises(UserError, match=said):
        Workdir.open(str(tmp_path), now, values)
    now = values | {"compute": values["compute"] | {"precision": "bfloat16"}}
    with pytest.raises(UserError, match=r"compute\.precision: float32 there"):
        Workdir.open(str(tmp_path), now, values)
    with pytest.raises(UserError, match=r"seed: 0 there, 1 now"):
        Workdir.open(str(tmp_path), values | {"seed": 1}, values)


def test_a_run_begun_with_another_value_of_a_default_is_still_refused(tmp_path):
    values = as_config(settings.Ensemble()).to_dict()
    Workdir.open(str(tmp_path), values | {"data": values["data"] | {"clusters": 5}}, values)
    with pytest.raises(UserError, match=r"data\.clusters: 5 there, 3 now"):
        Workdir.open(str(tmp_path), values, values)


def test_round_trip():
    values = as_config(settings.Ensemble()).to_dict()
    assert from_config(settings.Ensemble, values) == settings.Ensemble()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"pretrain": {"epoch": 3}}, "config.pretrain.epoch"),
        ({"pretrain": {"epochs": 0}}, "epochs"),
        ({"features": {"n_fft": 256}}, "config.features.n_mels .*without a single FFT bin"),
        ({"statistics": {"n_mels": 900}}, "config.statistics.n_mels .*without a single FFT bin"),
        ({"data": {"hold_out": 1.0}}, "hold_out"),
        ({"scoring": {"rule": "best"}}, "scoring.rule"),
        ({"scoring": {"rule": "fixed", "weights": (1.0,)}}, "scoring.weights"),
        ({"pretrain": {"backbone": {"kind": "lamb"}}}, "lamb"),
        (
            {"scoring": {"branches": ("early_layers", "taps")}},
            "config.scoring.branches .*'statistics'",
        ),
        ({"statistics": {"pool": "median"}}, "config.statistics.pool .*gwap"),
        ({"statistics": {"scale": "log"}}, "config.statistics.scale"),
        ({"scoring": {"scorer": "gauss"}}, "config.scoring.scorer .*mahalanobis"),
        ({"scoring": {"threshold": "gama"}}, "config.scoring.threshold .*quantile"),
        ({"scoring": {"false_alarm_rate": 1.0}}, "config.scoring.false_alarm_rate"),
    ],
)
def test_a_wrong_field_is_named(change, named):
    with pytest.raises(UserError, match=named):
        from_config(settings.Ensemble, change)


def test_each_scorer_has_its_options_told():
    from asd_jax.scoring import scorers

    assert tuple(backends.TAKES) == tuple(scorers.SCORERS)


def test_unknown_data_set_lists_the_known():
    with pytest.raises(UserError, match="dcase2020"):
        get_config("ensemble", "imagenet")


@pytest.mark.parametrize(("channel", "source"), [("0", 0), ("7", 7), ("mean", "mean")])
def test_a_channel_is_an_index_or_the_mean(channel, source):
    assert Data(channel=channel).source_channel == source


@pytest.mark.parametrize("channel", ["-1", "left", ""])
def test_another_channel_is_refused(channel):
    with pytest.raises(UserError, match=r"Data\.channel"):
        Data(channel=channel)


@pytest.mark.parametrize(
    "clips,batch",
    [(222, 16), (1000, 62), (2048, 128), (9000, 128), (12, 12)],
)
def test_few_clips_train_in_smaller_batches_for_as_many_epochs(clips, batch):
    schedule = Schedule(batch_size=128)
    assert schedule.batch(clips) == batch
    updates = clips / batch
    assert updates >= schedule.updates or batch <= 16
    assert Schedule(batch_size=128, updates=0).batch(clips) == min(128, clips)
    assert Schedule(batch_size=8).batch(clips) == 8


def test_updates_below_none_are_refused():
    with pytest.raises(UserError, match="updates"):
        Schedule(updates=-1)


@pytest.mark.parametrize(
    ("recipe", "part", "change", "said"),
    [
        ("ensemble", "encoder", {"name": "resnet"}, r"encoder\.name is 'resnet'"),
        ("ensemble", "encoder", {"pool": "attention"}, r"encoder\.pool is 'attention'"),
        ("ensemble", "data", {"clip_seconds": 0.2}, r"too small for GhostNetV2"),
        ("pump_classifier", "network", {"name": "vgg"}, r"network\.name is 'vgg'"),
        ("pump_classifier", "network", {"attention": "self"}, r"attention kind is 'self'"),
        ("pump_classifier", "network", {"head": "columns"}, r"network\.head is 'columns'"),
    ],
)
def test_networks_that_cannot_be_are_refused_before_a_folder_is_made(
    tmp_path, recipe, part, change, said
):
    values = as_config(recipes.find(recipe).settings()).to_dict()
    values[part] |= change
    with pytest.raises(UserError, match=said):
        run(values, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
