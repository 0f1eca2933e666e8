"""The head's wide part: a logistic regression on the rows, weighed against the network.

The regression is fitted to the clips that the network has trained on, and both are weighed by the
validation recordings, as stacking does (Wolpert 1992). All of it is linear, so the result is only
other numbers in the same head.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from asd_jax.models.rows import WIDE
from asd_jax.recipes.pump_classifier.stages import ClassifierRun
from asd_jax.scoring.platt import fit_platt
from asd_jax.types import Tree


class Linear(NamedTuple):
    """value = rows @ weight + bias."""

    weight: Float[np.ndarray, "rows"]
    bias: float

    def __call__(self, rows: Float[np.ndarray, "clips rows"]) -> Float[np.ndarray, "clips"]:
        """The values, in float64."""
        return np.asarray(rows, np.float64) @ self.weight + self.bias


def has_wide(variables: Tree) -> bool:
    """Whether the network has a head with a wide part."""
    return WIDE in variables["params"]


def deep_part(variables: Tree, embedding: Float[np.ndarray, "clips dim"]) -> np.ndarray:
    """Returns the network's own embedding `[clips, own]`, without the rows of the wide part."""
    if not has_wide(variables):
        return embedding
    return embedding[:, : -len(variables["params"][WIDE])]


def with_wide(run: ClassifierRun, variables: Tree, logit: Float[np.ndarray, "validation"]) -> Tree:
    """The variables with the wide part fitted, and the deep part scaled to go with it.

    Args:
        run: with the clips.
        variables: of the trained network, whose wide part is zero.
        logit: of the validation clips, of the network alone.
    """
    corpus, parts = run.corpus, run.corpus.parts
    kernel = np.asarray(variables["params"][WIDE])
    rows = [
        run.read(variables, corpus.waves, part)["embedding"][:, -len(kernel) :]
        for part in (parts.train, parts.validation)
    ]
    regression = fit_rows(rows[0], corpus.label[parts.train])
    held = corpus.label[parts.validation], corpus.recording[parts.validation]
    deep, wide, offset = weigh(logit, regression(rows[1]), *held)
    return _scaled(variables, deep, wide * regression.weight, offset + wide * regression.bias)


def fit_rows(rows: Float[np.ndarray, "clips rows"], label: Int[np.ndarray, "clips"]) -> Linear:
    """Scikit-learn's logistic regression on standardised rows, in the rows' own units."""
    from sklearn.linear_model import LogisticRegression

    rows = np.asarray(rows, np.float64)
    mean, scale = rows.mean(0), np.maximum(rows.std(0), 1e-9)
    model = LogisticRegression(class_weight="balanced", max_iter=5000)
    model.fit((rows - mean) / scale, label)
    weight = model.coef_[0] / scale
    return Linear(weight, float(np.ravel(model.intercept_)[0] - mean @ weight))


def weigh(
    deep: Float[np.ndarray, "clips"],
    wide: Float[np.ndarray, "clips"],
    label: Int[np.ndarray, "clips"],
    recording: np.ndarray,
) -> tuple[float, float, float]:
    """Weights of both logits and an offset, by clips that neither was fitted to.

    A part that would count against its own logit says nothing, and gets no weight.

    Args:
        deep: logits of the network.
        wide: logits of the regression.
        label: of the clips.
        recording: of the clips, `[clips]`; one counts once, whatever its versions.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(label)) < 2:
        return 1.0, 0.0, 0.0
    both = np.stack([deep, wide], 1).astype(np.float64)
    scale = np.maximum(both.std(0), 1e-9)
    _, index, clips = np.unique(recording, return_inverse=True, return_counts=True)
    model = LogisticRegression(C=10.0, max_iter=5000)
    model.fit(both / scale, label, sample_weight=1.0 / clips[index])
    weights = model.coef_[0] / scale
    if (weights > 0).all():
        return float(weights[0]), float(weights[1]), float(np.ravel(model.intercept_)[0])
    better = int(np.argmax(model.coef_[0]))
    one = fit_platt(both[:, better], label, recording)
    return (0.0, one.slope, one.offset) if better else (one.slope, 0.0, one.offset)


def _scaled(variables: Tree, deep: float, wide: np.ndarray, offset: float) -> Tree:
    """The last layers with these weights."""
    params = jax.device_get(dict(variables["params"]))
    last = params["classifier"]
    params["classifier"] = {
        "kernel": np.asarray(deep * last["kernel"], np.float32),
        "bias": np.asarray(deep * last["bias"] + offset, np.float32),
    }
    params[WIDE] = np.asarray(wide[:, None], np.float32)
    return {**variables, "params": params}
