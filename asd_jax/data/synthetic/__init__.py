"""Synthetic machines: recordings made from a physical picture, in MIMII's layout.

A machine (`fan`, `pump`, `slider`, `valve`: constants of a unit, state of a run, faults that change
the state) stands in a room before a microphone (`room`) in a factory whose background moves
(`factory`). `render` makes one clip of it, `write` a set.
Version 2 (`version2`, README.md): units of one model, sessions, bursts, faults of three kinds.
"""

from asd_jax.data.synthetic.settings import IDS as IDS
from asd_jax.data.synthetic.settings import TYPES as TYPES
from asd_jax.data.synthetic.settings import VERSION as VERSION
from asd_jax.data.synthetic.settings import SyntheticMachines as SyntheticMachines
from asd_jax.data.synthetic.write import GROUND_TRUTH as GROUND_TRUTH
from asd_jax.data.synthetic.write import MARKER as MARKER
from asd_jax.data.synthetic.write import write_machines as write_machines
