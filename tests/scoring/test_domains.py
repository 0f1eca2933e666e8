"""Both domains count alike for a threshold, however few clips one of them has."""

import numpy as np
import pytest

from asd_jax.scoring.domains import balanced
from asd_jax.scoring.threshold import fit_threshold


def test_the_domain_with_few_clips_is_repeated():
    scores = np.arange(13.0)
    domain = np.array(["source"] * 10 + ["target"] * 3)
    found = balanced(scores, domain)
    assert sorted(found) == sorted([*range(10), *[10, 11, 12] * 3])
    flipped = balanced(scores, np.where(domain == "source", "target", "source"))
    assert sorted(flipped) == sorted(found)


@pytest.mark.parametrize("domain", [[""] * 12, ["source"] * 10 + ["target"] * 2, ["target"] * 12])
def test_one_domain_or_two_clips_of_another_change_nothing(domain):
    scores = np.arange(12.0)
    np.testing.assert_array_equal(balanced(scores, np.array(domain)), scores)


@pytest.mark.parametrize("method", ["gamma", "quantile"])
def test_the_wished_rate_is_that_of_both_domains_together(method):
    rng = np.random.default_rng(0)
    domain = np.array(["source"] * 200 + ["target"] * 10)
    rates = {"pooled": [], "balanced": []}
    for _ in range(50):
        scores = rng.normal(size=210) + 2.0 * (domain == "target")
        for name, pool in (("pooled", scores), ("balanced", balanced(scores, domain))):
            limit = fit_threshold(pool, method=method, false_alarm_rate=0.1)
            fresh = [rng.normal(size=2000), rng.normal(size=2000) + 2.0]
            rates[name].append(np.mean([np.mean(s > limit) for s in fresh]))
    pooled, ours = (np.mean(rates[name]) for name in ("pooled", "balanced"))
    assert pooled > 0.25 and 0.06 < ours < 0.16
