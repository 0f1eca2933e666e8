"""From the start of a process to the end of its first training step."""

from typing import Any

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal, Program
from tests.benchmarks.workers import Variant

OURS = "tests.benchmarks.ours.start"
QUICKSTART = ["--config=configs/ensemble.py:quickstart"]
ANEW = Variant(
    "ours, compiled anew", OURS, environment={"JAX_ENABLE_COMPILATION_CACHE": "false"}, rounds=1
)


def _program(name: str, network: str, batch: int, **options: Any) -> Program:
    return Program(f"{name}, batch {batch}", versus.network(network, batch, train=True), **options)


CASE = Case(
    title="First training step of a process, compilation cache warm",
    programs=(
        _program("GhostNetV2", "ghostnetv2", 16, quick=True),
        _program("EfficientNetV2-S", "efficientnetv2_s", 8),
        _program("waveform network", "temporal", 16),
        # Warm is what a whole run leaves: one that ends at its first step would leave the later
        # stages' programs to be traced beside the next one's first step.
        Program(
            "asd_jax.main, quickstart",
            {"command": QUICKSTART},
            only=("ours",),
            warming={"command": QUICKSTART, "whole": True},
        ),
    ),
    variants=(Variant("ours", OURS, warm=True), ANEW, *versus.LAYOUTS[1:]),
    goals=(Goal(("torch channels_last",)),),
    quick=("torch channels_last",),
    fresh="first",
    unit="s",
    notes=lambda report: [
        f"{program['name']}: {found['median']:.1f} s. Must 12 s, aim 6 s."
        for program in report["programs"]
        for name, found in program["variants"].items()
        if name == "ours"
    ],
)
