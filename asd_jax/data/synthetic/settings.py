"""What to synthesise: the settings of a set of synthetic machines, checked on creation."""

import dataclasses

from asd_jax.errors import UserError

# Part of every random key: a change of the physics is a new version and other recordings, so that
# a measured number always names the sounds on which it was measured.
VERSION = 1  # the default
VERSIONS = (1, 2)

TYPES = ("fan", "pump", "slider", "valve")
IDS = ("id_00", "id_02", "id_04", "id_06")
SNRS = (6, 0, -6)


@dataclasses.dataclass(frozen=True)
class SyntheticMachines:
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

    types: tuple[str, ...] = TYPES
    ids: tuple[str, ...] = IDS[:2]
    normal: int = 90
    abnormal: int = 30
    seconds: float = 10.0
    sample_rate: int = 16000
    snr: tuple[int, ...] = (0,)
    seed: int = 0
    channels: int = 1
    alike: bool = False
    version: int = VERSION

    def __post_init__(self) -> None:
        for field, known in (("types", TYPES), ("ids", IDS), ("snr", SNRS)):
            values = getattr(self, field)
            unknown = [value for value in values if value not in known]
            if unknown or not values or len(set(values)) != len(values):
                raise UserError(
                    f"SyntheticMachines.{field} is {values!r}: it must be a tuple of one or more "
                    f"of {', '.join(map(str, known))}, each once."
                )
        if self.version not in VERSIONS:
            raise UserError(
                f"SyntheticMachines.version is {self.version!r}: it must be one of "
                f"{', '.join(map(str, VERSIONS))}."
            )
        # Version 2 has cycles that take half a second, and an interruption must fit into a clip.
        limits = {
            "normal": (0, 10**8),
            "abnormal": (0, 10**8),
            "seconds": (1.0 if self.version == 1 else 2.0, 60.0),
            "sample_rate": (8000, 96000),
            "seed": (0, 2**63 - 1),
            "channels": (1, 16),
        }
        for field, (low, high) in limits.items():
            if not low <= getattr(self, field) <= high:
                raise UserError(
                    f"SyntheticMachines.{field} is {getattr(self, field)!r}: "
                    f"it must lie between {low} and {high}."
                )
