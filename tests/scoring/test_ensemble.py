import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy import optimize

from asd_jax.errors import UserError
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import evidence
from asd_jax.scoring.metrics import auc

FAN, VALVE = ("fan", "id_00"), ("valve", "id_02")


def distances(rng, shifts, clips, correlation, noise=None):
    """Squared distances [clips, branches] of Gaussian clips, each branch moved by its shift."""
    if noise is None:
        common = rng.normal(size=(clips, 1, 20))
        own = rng.normal(size=(clips, len(shifts), 20))
        noise = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    moved = noise.copy()
    moved[:, :, 0] += np.asarray(shifts)
    return 0.5 * np.sum(moved**2, axis=2), noise


def system(seed, weak, faults, *, clips=16, test=150, correlation=0.5):
    """Held-out normals, weak variants by kind, test normals and anomalies of branches b0, b1, ...

    weak: `[kinds, branches]` sensitivities; faults: the same of true faults, drawn alike often.
    """
    rng = np.random.default_rng(seed)
    weak, faults = np.atleast_2d(weak), np.atleast_2d(faults)
    branches = weak.shape[1]
    scale, offset = rng.lognormal(0, 2, branches), rng.normal(0, 100, branches)
    held, noise = distances(rng, np.zeros(branches), clips, correlation)
    changed = [distances(rng, 2.0 * kind, clips, correlation, noise)[0] for kind in weak]
    normal, _ = distances(rng, np.zeros(branches), test, correlation)
    parts = [distances(rng, 4.0 * fault, test, correlation)[0] for fault in faults]
    anomaly = np.concatenate(parts)
    tidy = [x * scale + offset for x in (held, normal, anomaly)]
    return named(tidy[0]), kinds_of([x * scale + offset for x in changed]), *map(named, tidy[1:])


def named(scores):
    return {f"b{b}": scores[:, b] for b in range(scores.shape[1])}


def kinds_of(changed):
    branches = changed[0].shape[1]
    return {f"b{b}": {f"k{k}": x[:, b] for k, x in enumerate(changed)} for b in range(branches)}


def area(normal, anomaly):
    labels = np.repeat([0, 1], [len(normal), len(anomaly)])
    return auc(labels, np.concatenate([normal, anomaly]))


def compare(seed, weak, faults, rule="discriminant", **settings):
    """AUC of the ensemble and of each branch."""
    held, changed, normal, anomaly = system(seed, weak, faults, **settings)
    fitted = ensembles.fit_ensemble(held, changed, rule=rule, weights=weights_for(rule, weak))
    total = area(ensembles.combine(fitted, normal), ensembles.combine(fitted, anomaly))
    return total, np.array([area(normal[b], anomaly[b]) for b in normal])


def weights_for(rule, weak):
    branches = np.atleast_2d(weak).shape[1]
    return [0.9] + [0.1 / (branches - 1)] * (branches - 1) if rule in ("fixed", "literal") else ()


STATIONARY, TRANSIENT = [1.0, 1.0, 0.1, 0.1], [0.1, 0.1, 1.0, 1.0]
CASES = {
    "useless networks": ([[0, 0, 0, 0, 0, 1.0]], [[0, 0, 0, 0, 0, 1.0]]),
    "one dominant": ([[0.3, 1.2, 0.3, 0.3]], [[0.3, 1.2, 0.3, 0.3]]),
    "complementary": ([STATIONARY, TRANSIENT], [STATIONARY, TRANSIENT]),
    "all alike": (np.ones((2, 5)), np.ones((1, 5))),
    "two": ([[1.0, 0.6]] * 4, [[1.0, 0.6]]),
}


@pytest.mark.parametrize("correlation", [0.0, 0.9])
@pytest.mark.parametrize("clips", [8, 40])
@pytest.mark.parametrize("case", CASES)
def test_recommended_stays_near_its_best_branch(case, clips, correlation):
    weak, faults = CASES[case]
    gaps = []
    for seed in range(8):
        total, each = compare(seed, weak, faults, clips=clips, correlation=correlation)
        gaps.append(total - each.max())
    assert np.mean(gaps) > -0.01
    if case == "complementary":
        assert np.mean(gaps) > 0.03


def test_the_papers_weights_fall_where_the_network_knows_nothing():
    weak, faults = CASES["useless networks"]
    total, each = compare(0, weak, faults, rule="fixed")
    assert total < each.max() - 0.2  # or the test above could not fail


def test_a_useless_branch_is_named_and_has_no_weight():
    held, changed, _, _ = system(0, [[0.0, 1.0]], [[0.0, 1.0]])
    fitted = ensembles.fit_ensemble(held, changed, rule="discriminant")
    assert list(fitted.gated) == ["b0"] and fitted.reasons == [fitted.gated["b0"]]
    assert "b0 is left out" in fitted.gated["b0"] and "b1 has" in fitted.gated["b0"]
    two = dataclasses.replace(fitted, gated={"b0": "x", "b1": "y"})
    assert len(two.reasons) == 1 and "b0 and b1 are left out" in two.reasons[0]
    assert fitted.weights == {"b0": 0.0, "b1": 1.0}
    loud = {"b0": held["b0"] + 1e6, "b1": held["b1"]}
    np.testing.assert_array_equal(ensembles.combine(fitted, loud), ensembles.combine(fitted, held))


def test_when_nothing_is_known_all_branches_count_and_it_says_so():
    held, changed, _, _ = system(0, [[0.0, 0.0]], [[1.0, 1.0]])
    fitted = ensembles.fit_ensemble(held, changed, rule="discriminant")
    assert fitted.gated == {} and "a guess" in fitted.notes[0]
    assert fitted.weights == {"b0": 0.5, "b1": 0.5}
    fitted = ensembles.fit_ensemble(held, rule="discriminant")
    assert "No weak pseudo-anomalies" in fitted.notes[0]
    assert fitted.weights == {"b0": 0.5, "b1": 0.5}


def learned(*accuracies, level=0.3, classes=8):
    return {f"b{b}": (accuracy, level, classes) for b, accuracy in enumerate(accuracies)}


@pytest.mark.parametrize("classes", [2, 5, 12])
@pytest.mark.parametrize("sensitivity", [0.5, 1.5, 3.0])
def test_sensitivity_is_that_of_an_observer_who_names_the_largest_reading(sensitivity, classes):
    readings = np.random.default_rng(classes).normal(size=(400_000, classes))
    readings[:, 0] += sensitivity
    named = float(np.mean(readings.argmax(axis=1) == 0))
    assert ensembles.sensitivity(named, classes) == pytest.approx(sensitivity, abs=0.02)


def test_sensitivity_of_two_classes_is_known_and_its_ends_are_bounded():
    for rightly in (0.6, 0.76, 0.95):
        expected = np.sqrt(2) * scipy.stats.norm.ppf(rightly)
        assert ensembles.sensitivity(rightly, 2) == pytest.approx(expected, abs=1e-4)
    assert ensembles.sensitivity(0.2, 5) == ensembles.sensitivity(0.1, 5) == 0.0
    assert ensembles.sensitivity(1.0, 5) == ensembles.MOST
    assert ensembles.sensitivity(1.0, 1) == 0.0


def test_recommended_weighs_networks_by_what_they_have_learned():
    held, _, normal, _ = system(0, [[1.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]])
    fitted = ensembles.fit_ensemble(held, learned=learned(0.6, 0.25))
    skill = (ensembles.sensitivity(0.6, 8) / ensembles.SURE) ** 2
    shares = np.array([ensembles.NETWORK * skill, 0.0, 1.0])
    assert 0.3 < skill < 0.7
    np.testing.assert_allclose(fitted.mixing[0], shares / shares.sum())
    assert list(fitted.gated) == ["b1"] and "25%" in fitted.reasons[0]
    z = [(normal[b] - held[b].mean()) / held[b].std(ddof=1) for b in held]
    expected = np.stack(z, 1) @ fitted.mixing[0]
    np.testing.assert_allclose(ensembles.combine(fitted, normal), expected, rtol=1e-9)
    sure = ensembles.fit_ensemble(held, learned=learned(1.0, 0.25))
    assert sure.mixing[0, 0] / sure.mixing[0, 2] == pytest.approx(ensembles.NETWORK)
    nothing = ensembles.fit_ensemble({"b0": held["b0"]}, learned=learned(0.1))
    assert nothing.weights == {"b0": 1.0}  # there is no other


MISMATCHES = {
    "hears faults and no proxies": ([[0.0, 1.0]], [[1.0, 0.3]]),
    "hears proxies and no faults": ([[1.0, 0.3]], [[0.0, 1.0]]),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_recommended_loses_little_where_faults_and_proxies_differ(case):
    weak, faults = MISMATCHES[case]
    losses = {"recommended": [], "discriminant": []}
    for seed in range(8):
        held, changed, normal, anomaly = system(seed, weak, faults)
        best = max(area(normal[b], anomaly[b]) for b in normal)
        for rule, lost in losses.items():
            fitted = ensembles.fit_ensemble(held, changed, learned=learned(0.9), rule=rule)
            both = (ensembles.combine(fitted, part) for part in (normal, anomaly))
            lost.append(best - area(*both))
    assert np.mean(losses["recommended"]) < 0.15
    assert np.mean(losses["discriminant"]) > 2 * np.mean(losses["recommended"])


def test_literal_is_the_raw_weighted_sum():
    held, changed, normal, _ = system(0, [[1.0, 1.0]], [[1.0, 1.0]])
    fitted = ensembles.fit_ensemble(held, changed, rule="literal")
    expected = 0.9 * normal["b0"] + 0.1 * normal["b1"]
    np.testing.assert_allclose(ensembles.combine(fitted, normal), expected)
    assert fitted.weights == pytest.approx({"b0": 0.9, "b1": 0.1})


@pytest.mark.parametrize("rule,weights", [("fixed", (0.7, 0.3)), ("equal", (0.5, 0.5))])
def test_fixed_and_equal_weigh_z_scores(rule, weights):
    held, changed, normal, _ = system(0, [[1.0, 1.0]], [[1.0, 1.0]])
    fitted = ensembles.fit_ensemble(
        held, changed, rule=rule, weights=weights if rule == "fixed" else ()
    )
    z = [(normal[b] - held[b].mean()) / held[b].std(ddof=1) for b in ("b0", "b1")]
    expected = weights[0] * z[0] + weights[1] * z[1]
    np.testing.assert_allclose(ensembles.combine(fitted, normal), expected, rtol=1e-9)


def test_discriminant_equals_its_definition():
    held, changed, normal, _ = system(0, [[1.0, 0.7, 0.8], [0.7, 0.9, 0.8]], [[1.0, 1.0, 1.0]])
    fitted = ensembles.fit_ensemble(held, changed, rule="discriminant")
    mean = np.array([held[b].mean() for b in held])
    std = np.array([held[b].std(ddof=1) for b in held])
    areas = [[area(held[b], changed[b][kind]) for kind in ("k0", "k1")] for b in held]
    heard = (np.mean(areas, axis=1) - 0.5) ** 2
    z_held = (np.stack(list(held.values()), 1) - mean) / std
    shrinkage = 0.3 + 2.0 / len(z_held)
    mixed = (1 - shrinkage) * np.corrcoef(z_held.T) + shrinkage * np.eye(3)
    found = optimize.minimize(
        lambda w: 0.5 * w @ mixed @ w - w @ heard, np.ones(3) / 3, bounds=[(0, None)] * 3, tol=1e-12
    ).x
    found = np.where(found < ensembles.GATE * found.sum(), 0.0, found)
    expected = found / found.sum()
    np.testing.assert_allclose(fitted.mixing[0], expected, atol=2e-3)
    z = (np.stack(list(normal.values()), 1) - mean) / std
    np.testing.assert_allclose(ensembles.combine(fitted, normal), z @ fitted.mixing[0], rtol=1e-9)


@pytest.mark.parametrize("rule", ensembles.RULES)
def test_every_rule_is_stored_and_jitted_without_change(rule):
    held, changed, normal, _ = two_machines()
    groups, tested = machines(held), machines(normal)
    weights = (0.6, 0.3, 0.1) if rule in ("fixed", "literal") else ()
    fitted = ensembles.fit_ensemble(held, changed, groups, rule=rule, weights=weights)
    stored = json.loads(json.dumps(ensembles.to_dict(fitted), allow_nan=False))
    again = ensembles.from_dict(stored)
    total = ensembles.combine(fitted, normal, tested)
    np.testing.assert_array_equal(ensembles.combine(again, normal, tested), total)
    index = jnp.asarray(ensembles.group_index(again, tested, len(tested)))
    stacked = jnp.asarray(np.stack(list(normal.values()), 1), jnp.float32)
    tables = [jnp.asarray(table) for table in (again.mean, again.std, again.mixing)]
    jitted = jax.jit(
        lambda s, g: ensembles.weighted_sum(s, *(t[g] for t in tables), rule=again.rule)
    )(stacked, index)
    np.testing.assert_allclose(jitted, total, rtol=2e-3, atol=2e-3)
    higher = ensembles.combine(fitted, {b: v + 1.0 for b, v in normal.items()}, tested)
    assert (higher >= total).all() and (higher > total).any()
    assert sum(fitted.weights.values()) == pytest.approx(1.0)


def two_machines():
    """A fan that b0 hears and a valve that b2 hears, one after the other."""
    parts = [system(0, [[1.0, 0.7, 0.0]], [[1.0, 0.7, 0.0]])]
    parts.append(system(1, [[0.0, 0.7, 1.0]], [[0.0, 0.7, 1.0]]))
    held, changed, normal, anomaly = zip(*parts, strict=True)
    join = lambda many: {b: np.concatenate([one[b] for one in many]) for b in many[0]}  # noqa: E731
    changed = {b: {"k0": np.concatenate([c[b]["k0"] for c in changed])} for b in changed[0]}
    return join(held), changed, join(normal), join(anomaly)


def machines(scores):
    half = len(scores["b0"]) // 2
    return [FAN] * half + [VALVE] * half


def test_each_type_has_its_own_strengths_and_each_machine_its_calibration():
    held, changed, normal, anomaly = two_machines()
    fitted = ensembles.fit_ensemble(held, changed, machines(held), rule="discriminant")
    assert fitted.groups == (FAN, VALVE)
    assert fitted.mixing[0].argmax() == 0 and fitted.mixing[1].argmax() == 2
    assert fitted.mixing[0, 2] < 0.1 and fitted.mixing[1, 0] < 0.1
    assert fitted.gated == {}  # no branch is useless everywhere
    np.testing.assert_allclose(fitted.mean[0, 0], held["b0"][:16].mean())
    for rows in (slice(0, 150), slice(150, 300)):
        clean = [{b: v[rows] for b, v in part.items()} for part in (normal, anomaly)]
        group = [FAN if rows.start == 0 else VALVE] * 150
        total = area(*(ensembles.combine(fitted, part, group) for part in clean))
        assert total > max(area(clean[0][b], clean[1][b]) for b in normal) - 0.01


def test_a_machine_with_few_or_no_held_out_clips_borrows_from_its_type():
    rng = np.random.default_rng(0)
    scores = rng.normal(5.0, 2.0, (21, 1))
    group = np.array([0] * 20 + [1])
    mean, std = evidence.calibrate(scores, group, ["fan", "fan", "fan"])
    own = scores[:20].std(ddof=1)
    assert mean[1, 0] == scores[20, 0] and std[1, 0] == pytest.approx(own)
    assert mean[2, 0] == pytest.approx(mean[:2, 0].mean()) and std[2, 0] == pytest.approx(own)
    mean, std = evidence.calibrate(scores[:1], group[:1], ["fan"])
    assert (mean[0, 0], std[0, 0]) == (scores[0, 0], 1.0)


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_few_held_out_clips_give_finite_scores(clips):
    held, changed, normal, _ = system(0, [[1.0, 0.5]], [[1.0, 1.0]], clips=clips)
    for rule in ensembles.RULES:
        fitted = ensembles.fit_ensemble(held, changed, rule=rule)
        assert np.isfinite(ensembles.combine(fitted, normal)).all()


def test_wrong_input_is_named():
    held, changed, normal, _ = system(0, [[1.0, 0.5]], [[1.0, 1.0]])
    with pytest.raises(UserError, match="known are recommended"):
        ensembles.fit_ensemble(held, changed, rule="best")
    with pytest.raises(UserError, match="3 weights for 2 branches"):
        ensembles.fit_ensemble(held, changed, rule="fixed", weights=(1.0, 1.0, 1.0))
    with pytest.raises(UserError, match=r"'b1'.*not finite"):
        ensembles.fit_ensemble({**held, "b1": held["b1"] * np.nan}, changed)
    with pytest.raises(UserError, match="'b1' has 15 scores"):
        ensembles.fit_ensemble({**held, "b1": held["b1"][1:]}, changed)
    with pytest.raises(UserError, match="'b1' lacks weak scores"):
        ensembles.fit_ensemble(held, {"b0": changed["b0"]})
    with pytest.raises(UserError, match="held-out normal clips"):
        ensembles.fit_ensemble({})
    fitted = ensembles.fit_ensemble(held, changed, [FAN] * 8 + [VALVE] * 8)
    with pytest.raises(UserError, match="'pump id_00' is not known"):
        ensembles.combine(fitted, normal, [("pump", "id_00")] * 150)
    with pytest.raises(UserError, match="several machines"):
        ensembles.combine(fitted, normal)
    with pytest.raises(UserError, match="No scores of branch 'b1'"):
        ensembles.combine(fitted, {"b0": normal["b0"]}, [FAN] * 150)
    with pytest.raises(UserError, match="lacks 'std'"):
        ensembles.from_dict({k: v for k, v in ensembles.to_dict(fitted).items() if k != "std"})


def test_types_of_different_size_are_weighed_each_by_its_own():
    held, changed, _, _ = two_machines()
    rows = np.r_[0:16, 16:23]  # 16 clips of the fan, 7 of the valve
    held = {b: v[rows] for b, v in held.items()}
    changed = {b: {k: v[rows] for k, v in kinds.items()} for b, kinds in changed.items()}
    fitted = ensembles.fit_ensemble(held, changed, [FAN] * 16 + [VALVE] * 7)
    assert fitted.mixing.shape == (2, 3)
    np.testing.assert_allclose(fitted.mixing.sum(1), 1.0)
