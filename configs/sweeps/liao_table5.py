"""Liao et al. (2025), table 5: AUC with and without the fusion model on MIMII, by seeds.

    python -m launch.sweep configs/sweeps/liao_table5.py
    python -m launch.sweep configs/sweeps/liao_table5.py --config=ensemble:mimii,literal \
        --config.data.root=DIR --out=runs/liao

On the synthetic machines by default: that shows that the machinery works, not what holds of MIMII.
The paper names no signal-to-noise ratio; `:mimii` takes 0 dB, --config.data.snr="('6',)" another.
What stands in the fusion's place the paper does not say: here the embedding of the fine-tuned
spectrogram network, which the fusion starts from. Not measured yet.
"""

CONFIG = "configs/ensemble.py:quickstart,literal"
TITLE = "With and without the fusion model (Liao et al. 2025, table 5)"
TYPES = ("fan", "pump", "slider", "valve")
METRICS = {"AUC": "mean.auc", **{kind: f"mean.by_type.{kind}.auc" for kind in TYPES}}
PAPER = {
    "With": dict(zip(TYPES, ("0.9556", "0.9356", "0.9886", "0.9875"), strict=True)),
    "Without": dict(zip(TYPES, ("0.949", "0.9157", "0.9883", "0.9879"), strict=True)),
}
REFERENCE = "With"

ROWS = {
    "With": {},
    "Without": {"scoring.branches": ("spectral", "statistics")},
}
SEEDS = (0, 1, 2)


def sweep():
    """Both with each seed."""
    for seed in SEEDS:
        for row, scoring in ROWS.items():
            yield {"row": row, **scoring, "seed": seed}
