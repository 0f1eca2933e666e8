"""Synthetic machines: recordings that a physical picture makes, in MIMII's layout."""

from asd_jax.data.synthetic.render import faults
from asd_jax.data.synthetic.settings import IDS, TYPES, VERSION, SyntheticMachines, one_machine
from asd_jax.data.synthetic.write import GROUND_TRUTH, MARKER, write_machines

__all__ = [
    "GROUND_TRUTH",
    "IDS",
    "MARKER",
    "TYPES",
    "VERSION",
    "SyntheticMachines",
    "faults",
    "one_machine",
    "write_machines",
]
