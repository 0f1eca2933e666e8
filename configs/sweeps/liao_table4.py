"""Liao et al. (2025), table 4: pAUC and recall by machine type on MIMII, by seeds.

    python -m launch.sweep configs/sweeps/liao_table4.py
    python -m launch.sweep configs/sweeps/liao_table4.py --config=ensemble:mimii,literal \
        --config.data.root=DIR --out=runs/liao

On the synthetic machines by default: that shows that the machinery works, not what holds of MIMII.
The paper names no signal-to-noise ratio; `:mimii` takes 0 dB, --config.data.snr="('6',)" another.
Sweeps of the paper with one --out share their cells: figure 7 and the rows "With" of tables 5 and 6
are these runs. The pAUC is McClish's, p = 0.1; "raw" is the plain area over p. The paper gives no
threshold to its recall, which looks like 1 - EER: both are shown. Not measured yet.
"""

CONFIG = "configs/ensemble.py:quickstart,literal"
TITLE = "pAUC and recall by type (Liao et al. 2025, table 4)"
TYPES = ("fan", "pump", "slider", "valve")
ROW = "This research"
METRICS = {"AUC": "mean.auc"}
METRICS |= {f"{kind} pAUC": f"mean.by_type.{kind}.pauc" for kind in TYPES}
METRICS |= {f"{kind} pAUC raw": f"mean.by_type.{kind}.pauc_raw" for kind in TYPES}
METRICS |= {f"{kind} recall": f"mean.by_type.{kind}.recall" for kind in TYPES}
METRICS |= {f"{kind} recall at EER": f"mean.by_type.{kind}.recall_at_eer" for kind in TYPES}
_PAUC, _RECALL = ("0.8727", "0.7891", "0.9653", "0.963"), ("0.8985", "0.8625", "0.975", "0.9775")
PAPER = {
    ROW: {
        **{f"{kind} pAUC": value for kind, value in zip(TYPES, _PAUC, strict=True)},
        **{f"{kind} recall": value for kind, value in zip(TYPES, _RECALL, strict=True)},
        **{f"{kind} recall at EER": value for kind, value in zip(TYPES, _RECALL, strict=True)},
    }
}
SEEDS = (0, 1, 2)


def sweep():
    """The whole system with each seed."""
    for seed in SEEDS:
        yield {"row": ROW, "seed": seed}
