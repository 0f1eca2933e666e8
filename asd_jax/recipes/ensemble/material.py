"""What a run keeps for scoring: every branch's features, so that another scorer is tried at once.

`features.npz` in the folder of a run. It holds numbers that networks made of clips, no sound.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

from asd_jax.detector_folder import below, read_arrays
from asd_jax.errors import UserError
from asd_jax.files import replacing

FILE = "features.npz"
FeatureTables = dict[str, np.ndarray]  # `[clips, dim]` by branch


@dataclasses.dataclass(frozen=True)
class Material:
    """The branches' features of all clips that count.

    Attributes:
        trained: of all normal training clips, in the order of `corpus.training`.
        weak: by kind of weak pseudo-anomaly, of the held-out clips changed so.
        tested: of the test clips.
        prototypes: class centres by branch, where it has learned some.
        clips: see `fingerprint`.
        heard: as `weak`, of the few held-out clips and the faults of `learned`.
    """

    trained: FeatureTables
    weak: dict[str, FeatureTables]
    tested: FeatureTables
    prototypes: dict[str, Float[np.ndarray, "classes centres dim"]]
    clips: str
    heard: dict[str, FeatureTables] = dataclasses.field(default_factory=dict)

    def save(self, path: str) -> None:
        """Writes all as float32."""
        arrays = {f"trained/{name}": value for name, value in self.trained.items()}
        arrays |= {f"tested/{name}": value for name, value in self.tested.items()}
        arrays |= {f"prototypes/{name}": value for name, value in self.prototypes.items()}
        for part, kinds in (("weak", self.weak), ("heard", self.heard)):
            for kind, features in kinds.items():
                arrays |= {f"{part}/{kind}/{name}": value for name, value in features.items()}
        arrays = {name: np.asarray(value, np.float32) for name, value in arrays.items()}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            # NumPy's stub thinks that any name may be `allow_pickle`.
            np.savez(file, clips=np.array(self.clips), **arrays)  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, path: str) -> "Material":
        """Reads what `save` wrote; raises UserError where it is not there or damaged."""
        try:
            with open(path, "rb") as file:
                arrays = read_arrays(file.read())
            clips = str(arrays["clips"])
        except (OSError, ValueError, MemoryError, KeyError) as error:
            raise UserError(
                f"{path} cannot be read ({error}); only a run that this version of asd_jax "
                "finished can be scored anew."
            ) from error
        return cls(
            trained=below(arrays, "trained/"),
            weak=_by_kind(below(arrays, "weak/")),
            tested=below(arrays, "tested/"),
            prototypes=below(arrays, "prototypes/"),
            clips=clips,
            heard=_by_kind(below(arrays, "heard/")),
        )


def fingerprint(names: Iterable[str]) -> str:
    """A digest of the clips' names in their order: features are of these clips and no others."""
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _by_kind(arrays: Mapping[str, np.ndarray]) -> dict[str, FeatureTables]:
    found: dict[str, FeatureTables] = {}
    for name, value in arrays.items():
        kind, _, branch = name.rpartition("/")
        found.setdefault(kind, {})[branch] = value
    return found
