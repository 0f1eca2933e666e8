"""Synthetic machines: recordings made from a physical picture, in MIMII's layout.

A machine (`fan`, `pump`, `slider`, `valve`: constants of a unit, state of a run, faults that change
the state) stands in a room before a microphone (`room`) in a factory whose background moves
(`factory`). `render` makes one clip of it, `write` a set.
Version 2 (`version2`, README.md): units of one model, sessions, bursts, faults of three kinds.

Difficulty of version 1, set by the ranges of the physics with the two references of
`tests/benchmarks/difficulty.py` alone, before any network was tried, and then frozen.
AUC, mean over id_00 and id_02, of settings
`seconds=6, normal=130, abnormal=48`, 0 dB, split as MIMII's baseline splits, for seeds 0, 1, 2:

| type   | level            | distance of level | Gaussian on mean log-mel |
| ------ | ---------------- | ----------------- | ------------------------ |
| fan    | 0.60, 0.53, 0.61 | 0.63, 0.57, 0.57  | 0.80, 0.67, 0.66         |
| pump   | 0.55, 0.56, 0.63 | 0.51, 0.55, 0.53  | 0.68, 0.85, 0.85         |
| slider | 0.65, 0.67, 0.56 | 0.55, 0.50, 0.56  | 0.65, 0.65, 0.53         |
| valve  | 0.47, 0.35, 0.32 | 0.54, 0.60, 0.62  | 0.65, 0.59, 0.62         |

Seeds draw other units, so they differ by more than the sampling error of about 0.04 a mean.
By fault, mean over the three seeds: voltage 0.80, clogging 0.67, unbalance 0.66 (fan);
leakage 0.83, contamination 0.79, clogging 0.76 (pump); no_grease 0.68, rail_damage 0.62,
loose_belt 0.52 (slider:
a loose belt hides from a time average); gritty 0.66, sluggish 0.59 (valve).

At the default settings (`seconds=10, normal=90, abnormal=30`), seed 0, the Gaussian has 0.78 (fan),
0.68 (pump), 0.70 (slider) and 0.67 (valve) with 60 clips to learn from.
"""

from asd_jax.data.synthetic.render import faults as faults
from asd_jax.data.synthetic.settings import IDS as IDS
from asd_jax.data.synthetic.settings import TYPES as TYPES
from asd_jax.data.synthetic.settings import VERSION as VERSION
from asd_jax.data.synthetic.settings import SyntheticMachines as SyntheticMachines
from asd_jax.data.synthetic.write import GROUND_TRUTH as GROUND_TRUTH
from asd_jax.data.synthetic.write import MARKER as MARKER
from asd_jax.data.synthetic.write import write_machines as write_machines
