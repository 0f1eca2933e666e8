"""From embeddings to anomaly scores, thresholds and metrics."""
