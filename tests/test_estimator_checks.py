"""What scikit-learn asks of every estimator, and of an outlier detector."""

import contextlib

import joblib
import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from asd_jax import AnomalousSoundDetector
from tests.live import machine

pytestmark = pytest.mark.slow

# Statistics of half a second: fitted in a second or two.
SMALL = {
    "data": {"clip_seconds": 0.5},
    "features": {"n_mels": 32, "n_fft": 512, "hop_length": 256},
    "scoring": {"branches": ("statistics",), "bootstrap": 20},
    "statistics": {"n_mels": 32},
}
LENGTH = "recordings may be of any length: the number of samples is not a number of features"
WHOLE = "it gives int64, of which no full scale is known"
ROUNDING = "batches of other sizes are other programs, which round float32 differently"
EXCLUDED = {
    "check_do_not_raise_errors_in_init_or_set_params": "it takes `**overrides` for a parameter; "
    "that names are refused at once is wanted",
    "check_n_features_in": LENGTH,
    "check_n_features_in_after_fitting": LENGTH,
    "check_estimators_dtypes": WHOLE,
    "check_classifier_data_not_an_array": WHOLE,
    "check_outliers_train": "it wants X.T refused, which has as many samples as X has recordings, "
    "and one `offset_`, where each machine has its threshold; a test below asks the rest",
    "check_methods_sample_order_invariance": ROUNDING,
    "check_methods_subset_invariance": ROUNDING,
}


class Sounding(AnomalousSoundDetector):
    """As it is, but for the numbers of the checks: a row of a few numbers is no recording.

    Each number is the level of a noise, half a second in all, within the full scale of a waveform.
    """

    def fit(self, X, y=None):
        return super().fit(sound(X), y)

    def _judged(self, X):
        return super()._judged(sound(X))


def sound(X):
    X = np.asarray(X) if isinstance(X, list) else X
    if isinstance(X, np.ndarray) and X.dtype.kind == "O":
        with contextlib.suppress(TypeError, ValueError):  # clips of different lengths
            X = X.astype(np.float64)
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind != "f" or not X.shape[1]:
        return X
    levels = np.repeat(X, -(-8000 // X.shape[1]), axis=1)
    return levels * np.random.default_rng(0).uniform(0.5, 1.0, levels.shape[1]) / 1024


def named(check):
    return getattr(check, "func", check).__name__


def checks():
    for estimator, check in estimator_checks_generator(Sounding(SMALL), mark=None):
        name = named(check)
        reason = EXCLUDED.get(name)
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        yield pytest.param(estimator, check, marks=marks, id=name)


CHECKS = list(checks())


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_check(estimator, check):
    check(estimator)


def test_every_excluded_check_is_there():
    assert EXCLUDED.keys() <= {param.id for param in CHECKS}


def test_works_in_a_pipeline_under_cross_validation_and_joblib(tmp_path):
    waves = np.stack([machine.hum(0.5, seed=seed) for seed in range(24)])
    noise = np.random.default_rng(0).normal(0, 4000, (4, 8000)).astype(np.int16)
    detector = AnomalousSoundDetector(SMALL, scoring__false_alarm_rate=0.1)
    pipeline = make_pipeline(FunctionTransformer(), detector)
    pipeline.set_params(anomaloussounddetector__scoring__false_alarm_rate=0.2)
    rates = cross_val_score(pipeline, waves, cv=2, error_score="raise")
    assert rates.shape == (2,) and (rates > 0.5).all()
    labels = np.r_[np.ones(24), -np.ones(4)]
    both = np.concatenate([waves, noise])
    fitted = pipeline.fit(waves)
    assert fitted.score(both, labels) > 0.8
    said = fitted.predict(both)
    assert (said[24:] == -1).all() and said.dtype.kind == "i"
    margin = fitted.decision_function(both)
    np.testing.assert_array_equal(said, np.where(margin >= 0, 1, -1))
    # One machine, one threshold: the margin is the score, moved.
    np.testing.assert_allclose(np.ptp(margin - fitted.score_samples(both)), 0, atol=1e-9)
    joblib.dump(fitted, tmp_path / "pipeline.joblib")
    again = joblib.load(tmp_path / "pipeline.joblib")
    np.testing.assert_array_equal(again.decision_function(both), fitted.decision_function(both))
    # The order and the company of recordings change the last digits alone.
    scores = fitted.decision_function(both)
    np.testing.assert_allclose(fitted.decision_function(both[::-1])[::-1], scores, rtol=1e-3)
    np.testing.assert_allclose(fitted.decision_function(both[:3]), scores[:3], rtol=1e-3)
