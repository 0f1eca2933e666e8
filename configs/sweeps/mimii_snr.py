"""MIMII at its three signal-to-noise ratios, by seeds: a figure without its ratio means nothing.

    python -m launch.sweep configs/sweeps/mimii_snr.py
    python -m launch.sweep configs/sweeps/mimii_snr.py --config=configs/ensemble.py:mimii \
        --config.data.root=DIR

On the synthetic machines by default, which are written at these ratios too; `:mimii,literal` is the
paper as printed (Liao et al. 2025), which names no ratio. Not measured yet.
"""

CONFIG = "configs/ensemble.py:quickstart"
TITLE = "Signal-to-noise ratios of MIMII"
TYPES = ("fan", "pump", "slider", "valve")
METRICS = {"AUC": "mean.auc", "pAUC": "mean.pauc"}
METRICS |= {kind: f"mean.by_type.{kind}.auc" for kind in TYPES}
METRICS |= {"Gaussian on the mean log-mel": "references.mean_log_mel"}
SEEDS = (0, 1, 2)


def sweep():
    """Each ratio with each seed."""
    for seed in SEEDS:
        for level in (6, 0, -6):
            snr = {"data.snr": (str(level),), "synthetic.snr": (level,)}
            yield {"row": f"{level:+d} dB" if level else "0 dB", **snr, "seed": seed}
