"""What to synthesise: the settings of a set of synthetic machines, checked on creation."""

import dataclasses
from typing import Annotated

from asd_jax.bounds import Among, Checked, Within

# Part of every random key: a change of the physics is a new version and other recordings, so that
# a measured number always names the sounds on which it was measured.
VERSION = 1  # the default
VERSIONS = (1, 2)

TYPES = ("fan", "pump", "slider", "valve")
IDS = ("id_00", "id_02", "id_04", "id_06")
SNRS = (6, 0, -6)


@dataclasses.dataclass(frozen=True)
class SyntheticMachines(Checked):
    """Settings of one set of recordings of synthetic machines.

    Attributes:
        types: Machine types, of `TYPES`.
        ids: Machine IDs of every type, of `IDS`.
        normal: Normal clips an ID.
        abnormal: Anomalous clips an ID; the faults of the type take turns.
        seconds: Length of a clip.
        sample_rate: Samples a second, at least 8000.
        snr: Signal-to-noise ratios in dB, of `SNRS`, one folder each. As in MIMII the ratio is of
            the mean power of the ID's normal machine to the power of the factory background, over
            the whole clip: a loud run of the machine keeps its advantage. The background then
            drifts by about 1 dB between clips.
        seed: Seed of everything drawn. The same seed writes the same bytes.
        channels: 1, or more for a small array of microphones; channel 0 is the mono recording.
        alike: All IDs of a type are one and the same unit (and stand in the same place), so that
            nothing can be learnt from telling them apart.
        version: Version of the physics, of `VERSIONS`. 2: units of one model, bursts, sessions and
            three severities (README.md); the first `abnormal` normals belong to the test.
    """

    types: tuple[Annotated[str, Among(TYPES)], ...] = TYPES
    ids: tuple[Annotated[str, Among(IDS)], ...] = IDS[:2]
    normal: Annotated[int, Within(0, 10**8)] = 90
    abnormal: Annotated[int, Within(0, 10**8)] = 30
    seconds: Annotated[float, Within(1, 60)] = 10.0
    sample_rate: Annotated[int, Within(8000, 96000)] = 16000
    snr: tuple[Annotated[int, Among(SNRS)], ...] = (0,)
    seed: Annotated[int, Within(0, 2**63 - 1)] = 0
    channels: Annotated[int, Within(1, 16)] = 1
    alike: bool = False
    version: Annotated[int, Among(VERSIONS)] = VERSION

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("types", "ids", "snr"):
            values = getattr(self, field)
            if not values or len(set(values)) != len(values):
                self.refuse(field, f"is {values!r}; it must have one or more entries, each once.")
        # Version 2 has cycles that take half a second, and an interruption must fit into a clip.
        if self.version == 2 and self.seconds < 2:
            self.refuse("seconds", f"is {self.seconds}; of version 2 it must be at least 2.")
