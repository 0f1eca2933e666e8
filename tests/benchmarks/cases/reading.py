"""From wav files to batches on the device, beside what a training step takes in that time."""

from typing import Any

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal, Program
from tests.benchmarks.sounds import SAMPLES
from tests.benchmarks.workers import Variant

MODULE = "tests.benchmarks.ours.reading"
CLIPS = 128
STEPS = (("GhostNetV2", "ghostnetv2"), ("waveform network", "temporal"))
READ = ("ours", "soundfile", "soundfile, 2 threads", "bytes")


def _program(name: str, state: str, channels: int = 1, steps: int = 1, **options: Any) -> Program:
    given = {"state": state, "clips": CLIPS, "channels": channels}
    return Program(name, given, steps, clips=CLIPS, **options)


def _step(name: str, network: str) -> Program:
    options = versus.network(network, 16, train=True)
    return Program(f"{name}, training step", options, 3, clips=16, only=("step",))


def notes(report: dict[str, Any]) -> list[str]:
    """Clips per second as multiples of training, and as a fraction of what the memory copies."""
    speed = {}
    for program in report["programs"]:
        for name, found in program["variants"].items():
            if name in ("ours", "step"):
                speed[program["name"]] = program["clips"] / found["median"]
    copy = max((p["best"] for k, p in report["peaks"].items() if k.endswith("copy")), default=0)
    sentences = []
    for name, clips in speed.items():
        if "training step" in name:
            continue
        times = [f"{clips / speed[s]:.0f}x {s}" for s in speed if "training step" in s]
        moved = 2 * 2 * SAMPLES * clips / 1e9  # int16, once read and once written
        of_copy = f"; {moved:.2g} GB/s, {moved / copy:.0%} of the memory's copy" if copy else ""
        sentences.append(f"{name}: {clips:.0f} clips/s{of_copy}; {', '.join(times)}.")
    return [*sentences, "Warm cache: must 20x, aim 100x what a training step uses."]


CASE = Case(
    title=f"wav to device, {CLIPS} clips of 10 s",
    programs=(
        _program("training batches, cache open", "open", steps=8, only=("ours",)),
        _program("later run, in memory", "kept", steps=3, only=READ, quick=True),
        _program("later run, from disk", "disk", only=READ),
        _program("first run, from disk", "new", only=READ),
        _program("first run, 8 channels, from disk", "new", 8, only=READ),
        *(_step(*names) for names in STEPS),
    ),
    variants=(
        Variant("ours", MODULE, {"reader": "ours"}),
        Variant("soundfile", MODULE, {"reader": "soundfile"}),
        Variant("soundfile, 2 threads", MODULE, {"reader": "soundfile in threads"}),
        Variant("bytes", MODULE, {"reader": "bytes"}),
        versus.ours("step"),
    ),
    goals=(Goal(("soundfile", "soundfile, 2 threads")),),
    quick=("soundfile", "soundfile, 2 threads"),
    notes=notes,
)
