"""Sun (2025), table 6: kinds of spectrogram pictures for the improved EfficientNetV2-S.

    python -m launch.sweep configs/sweeps/sun_table6.py

On the synthetic pumps by default: that shows that the machinery works, not who is right about
MIMII. For MIMII: --config=configs/pump_classifier.py:mimii --config.data.root=DIR.

Not measured yet with the present quickstart.
"""

CONFIG = "configs/pump_classifier.py"
TITLE = "Kinds of pictures (Sun 2025, table 6)"
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
    "Spectrogram": {"accuracy": "0.9603 ± 0.25", "loss": "0.0624"},
    "Mel": {"accuracy": "0.9520 ± 0.25", "loss": "0.1152"},
    "Log-frequency power": {"accuracy": "0.9378 ± 0.15", "loss": "0.0595"},
    "Linear-frequency power": {"accuracy": "0.9248 ± 0.15", "loss": "0.1631"},
}
REFERENCE = "Spectrogram"
PUBLISHED = ("Spectrogram", "Mel", 270)

KINDS = {
    "Spectrogram": "spectrogram",
    "Mel": "mel",
    "Log-frequency power": "log_frequency",
    "Linear-frequency power": "linear_frequency",
}
SEEDS = (0, 1, 2)


def sweep():
    """Each kind with each seed; a seed draws weights, batches and test clips."""
    for seed in SEEDS:
        for row, kind in KINDS.items():
            yield {"row": row, "features.kind": kind, "seed": seed, "split.seed": seed}
