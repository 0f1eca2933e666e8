"""Anomalous sound detection for machines, trained on normal sounds alone, in JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asd_jax.estimator import AnomalousSoundDetector as AnomalousSoundDetector

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Only when asked for: `import asd_jax` stays light for the commands.
    if name == "AnomalousSoundDetector":
        from asd_jax.estimator import AnomalousSoundDetector

        return AnomalousSoundDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
