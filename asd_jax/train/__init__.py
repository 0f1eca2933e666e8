"""Learning: state, sharding, optimizers, the one loop, checkpoints, the metrics_log."""
