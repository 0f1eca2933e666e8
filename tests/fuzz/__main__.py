"""`python -m tests.fuzz TARGET [SECONDS]`: damage for a reader until time is up or it stumbles.

With `pip install atheris` the damage is led by what the code does with it; without, or with
`--random`, it is drawn at random. What a reader stumbled over is written to
`tests/fuzz/finds/TARGET-...`, to be kept as a test once it is mended (`test_fuzz.py` feeds all
that lies there).
"""

import hashlib
import math
import os
import pathlib
import sys
import tempfile
import time

import numpy as np

os.environ.setdefault("JAX_PLATFORMS", "cpu")
FINDS = pathlib.Path(__file__).parent / "finds"
HANGS, SWOLLEN = 60, 4096  # s over one input, MiB of the process: finds too


def damaged(seed: bytes, rng: np.random.Generator) -> bytes:
    """The bytes after one to four accidents."""
    data = bytearray(seed)
    for _ in range(int(rng.integers(1, 5))):
        place, kind, size = int(rng.integers(len(data) + 1)), rng.integers(6), rng.integers(1, 9)
        if kind == 0:
            data[place:place] = rng.bytes(size)
        elif kind == 1:
            del data[place : place + int(size)]
        elif kind == 2 and data:
            data[place % len(data)] ^= 1 << int(rng.integers(8))
        elif kind == 3:
            del data[place:]
        elif kind == 4 and data:
            begin = int(rng.integers(len(data)))
            data[place:place] = data[begin : begin + int(size) * 4]
        else:
            data[place : place + int(size)] = bytes(rng.choice([0, 255, 45, 57, 34], int(size)))
    return bytes(data)


def keep(name: str, data: bytes) -> pathlib.Path:
    """Writes a find down."""
    FINDS.mkdir(exist_ok=True)
    path = FINDS / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def loop(name: str, target, *, seconds: float = math.inf, most: float = math.inf) -> int:
    """Draws damage until time is up or so many inputs were fed; returns their number."""
    rng, seeds, fed, end = np.random.default_rng(0), target.seeds(), 0, time.time() + seconds
    while fed < most and time.time() < end:
        data = damaged(seeds[int(rng.integers(len(seeds)))], rng)
        try:
            target.run(data)
        except Exception:
            print(f"{name} stumbles over {keep(name, data)}", file=sys.stderr)
            raise
        fed += 1
    return fed


def main() -> None:
    """Feeds the target that is named."""
    try:
        import atheris
    except ImportError:
        from tests.fuzz.targets import TARGETS, small
    else:
        with atheris.instrument_imports(include=["asd_jax", "zipfile", "json", "csv"]):
            from tests.fuzz.targets import TARGETS, small

    name, seconds = sys.argv[1], float((sys.argv[2:] or ["60"])[0])
    target = TARGETS[name]
    if "atheris" not in sys.modules or "--random" in sys.argv:
        with small():
            fed = loop(name, target, seconds=seconds)
        print(f"{name}: {fed} inputs, nothing but sentences.")
        return

    FINDS.mkdir(exist_ok=True)
    bounds = [f"-max_total_time={seconds:.0f}", f"-timeout={HANGS}", f"-rss_limit_mb={SWOLLEN}"]
    with tempfile.TemporaryDirectory() as corpus, small():
        for number, seed in enumerate(target.seeds()):
            pathlib.Path(corpus, str(number)).write_bytes(seed)
        finds = f"-artifact_prefix={FINDS / name}-"  # of a hang, a crash or too much memory too
        atheris.Setup([sys.argv[0], *bounds, finds, corpus], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
