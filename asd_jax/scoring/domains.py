"""Held-out scores of two domains, of which one has few clips."""

import numpy as np
from jaxtyping import Float, Shaped

LEAST = 3  # clips of a domain that are worth repeating


def balanced(
    scores: Float[np.ndarray, "clips"], domain: Shaped[np.ndarray, "clips"]
) -> Float[np.ndarray, "more"]:
    """The scores, those of the domain with fewer clips repeated until both weigh about alike.

    A test has as many clips of both (DCASE since 2021), so the false-alarm rate of a threshold is
    the mean over domains, and not that of the thousand source clips beside ten target clips.

    Args:
        scores: of held-out normal clips.
        domain: of each: 'source', 'target' or ''.

    Returns:
        `scores` as they are where there are no two domains with `LEAST` clips.
    """
    target = domain == "target"
    few, many = sorted((scores[target], scores[~target]), key=len)
    if len(few) < LEAST:
        return scores
    return np.concatenate([many, np.tile(few, round(len(many) / len(few)))])
