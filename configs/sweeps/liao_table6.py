"""Liao et al. (2025), table 6: AUC with and without the statistics on MIMII, by seeds.

    python -m launch.sweep configs/sweeps/liao_table6.py
    python -m launch.sweep configs/sweeps/liao_table6.py --config=ensemble:mimii,literal \
        --config.data.root=DIR --out=runs/liao

On the synthetic machines by default: that shows that the machinery works, not what holds of MIMII.
The paper names no signal-to-noise ratio; `:mimii` takes 0 dB, --config.data.snr="('6',)" another.
Without them the fusion's score stands alone. `asd_jax.rescore` gives the row "Without" of a
finished run without training. Not measured yet.
"""

CONFIG = "configs/ensemble.py:quickstart,literal"
TITLE = "With and without the statistics (Liao et al. 2025, table 6)"
TYPES = ("fan", "pump", "slider", "valve")
METRICS = {"AUC": "mean.auc", **{kind: f"mean.by_type.{kind}.auc" for kind in TYPES}}
PAPER = {
    "With": dict(zip(TYPES, ("0.9556", "0.9356", "0.9886", "0.9875"), strict=True)),
    "Without": dict(zip(TYPES, ("0.9338", "0.9256", "0.9486", "0.9637"), strict=True)),
}
REFERENCE = "With"

ROWS = {
    "With": {},
    "Without": {"scoring.branches": ("fusion",), "scoring.weights": (1.0,)},
}
SEEDS = (0, 1, 2)


def sweep():
    """Both with each seed."""
    for seed in SEEDS:
        for row, scoring in ROWS.items():
            yield {"row": row, **scoring, "seed": seed}
