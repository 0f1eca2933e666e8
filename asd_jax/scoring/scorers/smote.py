"""Made-up clips where a domain has few: SMOTE (Chawla et al., JAIR 16, 2002, section 4.2)."""

import numpy as np
from jaxtyping import Float

NEIGHBOURS = 5  # the paper's


def oversample(
    features: Float[np.ndarray, "clips dim"], number: int, *, seed: int = 0
) -> Float[np.ndarray, "made dim"]:
    """Points on the lines between a clip and one of its nearest neighbours.

    Args:
        features: the clips of the domain that has few; one alone has no neighbour.
        number: of points to make; the clips take turns.
        seed: of the neighbours and the places between.

    Returns:
        `number` points, none where there are fewer than two clips.
    """
    from scipy.spatial import distance

    if len(features) < 2 or number < 1:
        return features[:0]
    rng = np.random.default_rng(seed)
    between = distance.squareform(distance.pdist(features))
    np.fill_diagonal(between, np.inf)
    near = np.argsort(between, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(features) - 1)]
    at = np.arange(number) % len(features)
    other = near[at, rng.integers(near.shape[1], size=number)]
    share = rng.uniform(size=(number, 1))
    return features[at] + share * (features[other] - features[at])
