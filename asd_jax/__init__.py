"""Anomalous sound detection for machines, trained on normal sounds alone, in JAX."""

__version__ = "0.1.0"
