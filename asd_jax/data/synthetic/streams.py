"""Random streams named by what they are for, so that no order of work can change a clip."""

import hashlib

import numpy as np

from asd_jax.data.synthetic.settings import VERSION


def stream(seed: int, *names: object, version: int = VERSION) -> np.random.Generator:
    """Returns the random generator that belongs to a seed and a path of names.

    The names (type, ID, label, clip number, purpose) are hashed with SHA-256 into the spawn key of
    a `np.random.SeedSequence`, together with `version`. Streams of different names are independent
    and none depends on which others were used, so any subset of a set gives the same clips.

    Args:
        seed: Seed of the set.
        *names: What the stream is for; their `str` counts.
        version: Version of the physics.
    """
    text = "\x1f".join(str(name) for name in (version, *names))
    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype="<u4")
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(int(word) for word in words))
    return np.random.Generator(np.random.PCG64(sequence))
