"""Our Gaussian mixture: a whole fit from given responsibilities, and scores."""

from typing import Any

import jax
import numpy as np

from asd_jax.scoring.scorers.mixture import fit_gmm, score_gmm
from tests.benchmarks.protocol import Work
from tests.benchmarks.sounds import clusters


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """A fit of so many iterations, or the scores of all clips."""
    x, start = clusters(program["clips"], program["dim"], program["components"])
    options = {
        "components": program["components"],
        "covariance": "literal",
        "reg_covar": program["reg_covar"],
        "iterations": program["iterations"],
        "tolerance": 0.0,
        "responsibilities": start,
    }
    fitted = fit_gmm(x, **options)

    def arrays() -> dict[str, np.ndarray]:
        precisions = [factor @ factor.T for factor in np.asarray(fitted.factors, np.float64)]
        return {
            "weights": np.exp(fitted.log_weights),
            "means": fitted.means,
            "precisions": np.stack(precisions),
            "score": np.asarray(score_gmm(fitted, x)),
        }

    if program["score"]:
        features = jax.device_put(x)
        run = jax.jit(score_gmm).lower(fitted, features).compile()
        return Work(lambda: run(fitted, features).block_until_ready(), {}, arrays)
    return Work(lambda: fit_gmm(x, **options), {"jax": jax.__version__}, arrays)
