"""Made-up runs for the tests of the report."""

import numpy as np

from asd_jax.report.contents import Branch, Embedding, Example, Report

EVIL = 'größe & <script>alert("1")</script>\'.wav'


def make_rows(machine_type="pump", machine_id="00", *, healthy=20, faulty=12, seed=0, **change):
    """Rows whose fusion branch hears the faults and whose other branch does not."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(healthy + faulty):
        label = int(number >= healthy)
        score = float(rng.gamma(4.0) + 3.0 * label)
        rows.append(
            {
                "path": f"{machine_type}/{machine_id}/{number:04d}.wav",
                "machine_type": machine_type,
                "machine_id": machine_id,
                "domain": "",
                "label": label,
                "score": score,
                "score_fusion": 2.0 * score,
                "score_temporal": float(rng.normal()),
                "threshold": 6.0,
                "decision": int(score > 6.0),
                **change,
            }
        )
    return rows


def make_results(*groups, **change):
    """results.json for groups of (machine_type, machine_id)."""
    entries = [
        {
            "machine_type": machine_type,
            "machine_id": machine_id,
            "auc": 0.9 - 0.1 * index,
            "pauc": 0.7,
            "auc_interval": [0.8 - 0.1 * index, 0.95 - 0.1 * index],
            "threshold": 6.0,
        }
        for index, (machine_type, machine_id) in enumerate(groups)
    ]
    return {
        "protocol": {"name": "recommended", "false_alarm_rate": 0.1},
        "seed": 7,
        "groups": entries,
        "mean": {"auc": 0.8123, "pauc": 0.7},
        "timing": {"pretrain": 312.0, "evaluate": 8.1},
        **change,
    }


def make_example(row, *, seed=0, audio=True, **change):
    """A clip with a burst in bins 10 to 14, frames 20 to 29, 12 dB above normal."""
    rng = np.random.default_rng(seed)
    normal = np.linspace(-30.0, -60.0, 32)
    spectrogram = normal[:, None] + rng.normal(size=(32, 63))
    spectrogram[10:15, 20:30] += 12.0
    if isinstance(audio, bool):
        audio = (3000 * rng.normal(size=1600)).astype(np.int16) if audio else None
    fields = {
        "path": row["path"],
        "machine_type": row["machine_type"],
        "machine_id": row["machine_id"],
        "label": row["label"],
        "score": row["score"],
        "threshold": row["threshold"],
        "percentile": 99.5,
        "spectrogram": spectrogram,
        "deviation": spectrogram - normal[:, None],
        "mel_frequencies": np.linspace(100.0, 7900.0, 32),
        "frame_times": np.arange(63) * 0.1,
        "normal_db": normal,
        "audio": audio,
    }
    return Example(**(fields | change))


def make_embedding(rows, *, dim=16, seed=0, train=True):
    """A point for each row and, with `train`, as many training clips."""
    rng = np.random.default_rng(seed)
    both = [*rows, *rows] if train else [*rows]
    return Embedding(
        points=rng.normal(size=(len(both), dim)),
        machine_types=tuple(row["machine_type"] for row in both),
        machine_ids=tuple(row["machine_id"] for row in both),
        labels=np.array([row["label"] for row in rows] + [0] * len(rows))[: len(both)],
        splits=(("test",) * len(rows) + ("train",) * len(rows))[: len(both)],
        name="fusion",
    )


def make_report(**change):
    """Two machines with all that a report can hold."""
    rows = make_rows() + make_rows("fan", "02", seed=1, faulty=15)
    history = [
        {"stage": stage, "step": step, "loss": 3.0 / (step + 1), "rate": 0.1, "note": "x"}
        for stage in ("pretrain", "fusion")
        for step in range(5)
    ]
    fields = {
        "results": make_results(("pump", "00"), ("fan", "02")),
        "rows": tuple(rows),
        "embedding": make_embedding(rows),
        "examples": tuple(make_example(row) for row in rows[20:22]),
        "branches": (
            Branch("fusion", 0.9),
            Branch("temporal", 0.1, gated=True, reason="Knows nothing."),
        ),
        "history": tuple(history),
        "warnings": ("Three clips could not be read.",),
        "config": {"data": {"root": "/data/<b>"}, "seed": 7},
        "version": "0.1.0",
    }
    return Report(**(fields | change))
