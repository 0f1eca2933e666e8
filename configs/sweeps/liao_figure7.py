"""Liao et al. (2025), figure 7: false acceptance and rejection on MIMII, by seeds.

    python -m launch.sweep configs/sweeps/liao_figure7.py
    python -m launch.sweep configs/sweeps/liao_figure7.py --config=ensemble:mimii,literal \
        --config.data.root=DIR --out=runs/liao

On the synthetic machines by default: that shows that the machinery works, not what holds of MIMII.
The paper names no signal-to-noise ratio; `:mimii` takes 0 dB, --config.data.snr="('6',)" another.
The curves of each machine stand in each run's report.html ("FAR-FRR"); the table gathers where they
cross, the equal error rate, over seeds. The figure prints no numbers. Not measured yet.
"""

CONFIG = "configs/ensemble.py:quickstart,literal"
TITLE = "Equal error rate by type (Liao et al. 2025, figure 7)"
TYPES = ("fan", "pump", "slider", "valve")
METRICS = {"EER": "mean.eer", **{kind: f"mean.by_type.{kind}.eer" for kind in TYPES}}
SEEDS = (0, 1, 2)


def sweep():
    """The whole system with each seed."""
    for seed in SEEDS:
        yield {"row": "This research", "seed": seed}
