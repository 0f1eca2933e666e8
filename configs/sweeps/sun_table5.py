"""Sun (2025), table 5: attention modules in EfficientNetV2-S, on one kind of picture.

    python -m launch.sweep configs/sweeps/sun_table5.py

On the synthetic pumps by default: that shows that the machinery works, not who is right about
MIMII. For MIMII: --config=configs/pump_classifier.py:mimii --config.data.root=DIR.

Besides the paper's rows one for the original CBAM (Woo et al. 2018), whose spatial part the
improved one replaces. Not measured yet with the present quickstart.
"""

CONFIG = "configs/pump_classifier.py"
TITLE = "Attention modules (Sun 2025, table 5)"
METRICS = {
    "accuracy": "classification.accuracy",
    "loss": "classification.loss",
    "balanced accuracy": "classification.balanced_accuracy",
    "AUC": "classification.auc",
    "network alone": "references.network_alone.auc",
    "logistic regression": "references.logistic_regression.auc",
    "level alone": "references.level.auc",
    "trivial": "classification.trivial",
}
PAPER = {
    "Improved CBAM": {"accuracy": "0.9603 ± 0.25", "loss": "0.0624"},
    "ECA": {"accuracy": "0.9501", "loss": "0.3228"},
    "SOCA": {"accuracy": "0.9542", "loss": "0.0617"},
    "SimAM": {"accuracy": "0.9482", "loss": "0.0323"},
    "NAM": {"accuracy": "0.9402", "loss": "0.2236"},
    "SE (the unchanged network)": {"accuracy": "0.9527 ± 0.25"},
}
REFERENCE = "Improved CBAM"
PUBLISHED = ("Improved CBAM", "SE (the unchanged network)", 270)

ATTENTION = {
    "Improved CBAM": "simam_cbam",
    "ECA": "eca",
    "SOCA": "soca",
    "SimAM": "simam",
    "NAM": "nam",
    "CBAM (Woo 2018)": "cbam",
    "SE (the unchanged network)": "se",
}
SEEDS = (0, 1, 2)


def sweep():
    """Each attention with each seed; a seed draws weights, batches and test clips."""
    for seed in SEEDS:
        for row, attention in ATTENTION.items():
            yield {"row": row, "network.attention": attention, "seed": seed, "split.seed": seed}
