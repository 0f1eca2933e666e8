"""Sun (2025), table 4: networks, on spectrograms.

    python -m launch.sweep configs/sweeps/sun_table4.py

The table's "EfficientNetV0 ... V7" are taken for B0 to B7. CNN, ResNet50 and Conformer are named in
the text without figures. All see pictures of the same size, as in the paper. On the synthetic pumps
by default, where the networks are scaled down: that shows that the machinery works, not who is
right about MIMII. For MIMII: --config=configs/pump_classifier.py:mimii --config.data.root=DIR.
"""

CONFIG = "configs/pump_classifier.py"
TITLE = "Networks (Sun 2025, table 4)"
METRICS = {
    "accuracy": "classification.accuracy",
    "balanced accuracy": "classification.balanced_accuracy",
    "AUC": "classification.auc",
    "network alone": "references.network_alone.auc",
    "logistic regression": "references.logistic_regression.auc",
    "level alone": "references.level.auc",
    "trivial": "classification.trivial",
}
_PRINTED = ("0.8613", "0.9454", "0.9286", "0.9496", "0.9328", "0.9286", "0.9328", "0.9486")
PAPER = {
    "Improved EfficientNetV2-S": {"accuracy": "0.9603 ± 0.25"},
    "EfficientNetV2-S": {"accuracy": "0.9527 ± 0.25"},
    **{f"EfficientNet-B{k}": {"accuracy": value} for k, value in enumerate(_PRINTED)},
    "MobileViT-S": {"accuracy": "0.9316"},
}
REFERENCE = "Improved EfficientNetV2-S"
PUBLISHED = ("Improved EfficientNetV2-S", "EfficientNetV2-S", 270)

_OWN = {"network.drop_path": -1.0}  # as the network has it
NETWORKS = {
    "Improved EfficientNetV2-S": {},
    "EfficientNetV2-S": {"network.attention": "se"},
    **{
        f"EfficientNet-B{k}": {"network.name": f"efficientnet_b{k}", "network.attention": "se"}
        for k in range(8)
    },
    "MobileViT-S": {
        "network.name": "mobilevit_s",
        "network.attention": "",
        **_OWN,
        "network.depth": 1.0,
    },
    "ResNet50": {"network.name": "resnet50", "network.attention": "", **_OWN},
    "Conformer": {"network.name": "conformer", "network.attention": "", **_OWN},
    "CNN": {"network.name": "cnn", "network.attention": "", **_OWN, "network.depth": 1.0},
}
SEEDS = (0, 1, 2)


def sweep():
    """Each network with each seed; a seed draws weights, batches and test clips."""
    for seed in SEEDS:
        for row, network in NETWORKS.items():
            yield {"row": row, **network, "seed": seed, "split.seed": seed}
