"""scikit-learn's Gaussian mixture from the same start, for the same number of iterations."""

import warnings
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from tests.benchmarks.protocol import Work
from tests.benchmarks.sounds import clusters


def maximised(x: np.ndarray, share: np.ndarray, reg_covar: float) -> dict[str, np.ndarray]:
    """Weights, means and precisions of the first M-step: where scikit-learn is to start."""
    total = share.sum(0)
    means = share.T @ x / total[:, None]
    away = x[None] - means[:, None]
    covariances = np.einsum("nk,knd,kne->kde", share, away, away) / total[:, None, None]
    covariances += reg_covar * np.eye(x.shape[1])
    return {
        "weights_init": total / total.sum(),
        "means_init": means,
        "precisions_init": np.linalg.inv(covariances),
    }


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """The same fit or the same scores; `dtype` as the variant has it."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, share = clusters(program["clips"], program["dim"], program["components"])
    x = x.astype(variant["dtype"])
    first = maximised(x.astype(np.float64), share, program["reg_covar"])
    first = {name: value.astype(variant["dtype"]) for name, value in first.items()}
    model = GaussianMixture(
        program["components"],
        tol=0.0,
        reg_covar=program["reg_covar"],
        max_iter=program["iterations"],
        **first,
    )

    def fit() -> Any:
        model.fit(x)
        assert model.n_iter_ == program["iterations"], model.n_iter_

    fit()

    def arrays() -> dict[str, np.ndarray]:
        return {
            "weights": model.weights_,
            "means": model.means_,
            "precisions": model.precisions_,
            "score": -model.score_samples(x),
        }

    about = {"scikit-learn": sklearn.__version__, "iterations": model.n_iter_}
    return Work((lambda: model.score_samples(x)) if program["score"] else fit, about, arrays)
