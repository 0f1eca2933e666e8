"""The same noise for both sides."""

import numpy as np

SAMPLES = 160000  # ten seconds at 16 kHz


def waves(clips: int, samples: int = SAMPLES) -> np.ndarray:
    """int16 `[clips, samples]`: noise whose level and colour differ from clip to clip."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((clips, samples + 1), np.float32)
    colour = rng.uniform(-0.9, 0.9, (clips, 1)).astype(np.float32)
    level = rng.uniform(300, 3000, (clips, 1)).astype(np.float32)
    return np.clip(level * (noise[:, 1:] + colour * noise[:, :-1]), -32768, 32767).astype(np.int16)
