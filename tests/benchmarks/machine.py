"""What the machine is, how busy it is, and the most that it can do."""

import datetime
import os
import platform
import subprocess
import time
from typing import Any

from tests.benchmarks.protocol import Work, meminfo

SIZE = 2048  # of the matrices
BYTES = 256 << 20  # of the array that is copied, far beyond the caches


def facts() -> dict[str, Any]:
    """Date, processor, memory, kernel and commit, for the JSON."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_name(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(meminfo("MemTotal") / 2**30, 1),
        "kernel": platform.release(),
        "commit": _commit(),
    }


def _cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()


def available_memory() -> int:
    """Bytes that a new process may take without swapping."""
    return meminfo("MemAvailable")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def cpu_seconds() -> tuple[float, float]:
    """Seconds since the start that the processors we are kept on worked, and were stolen."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    with open("/proc/stat", encoding="utf-8") as file:
        rows = [line.split() for line in file if line.split()[0] in ours]
    ticks = [
        sum(int(value) for value in column)
        for column in zip(*(row[1:9] for row in rows), strict=True)
    ]
    user, nice, system, _, _, irq, softirq, steal = ticks
    rate = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / rate, steal / rate


def session_seconds(session: int) -> float:
    """Processor seconds of all processes of a session."""
    total = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            total += sum(int(value) for value in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def others(seconds: float = 1.0) -> float:
    """Processors that the machine's other work has used for a while: call it when you rest."""
    begin, busy = time.monotonic(), cpu_seconds()
    time.sleep(seconds)
    return (sum(cpu_seconds()) - sum(busy)) / (time.monotonic() - begin)


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """The peak as NumPy or PyTorch reach it: `kind` is 'sgemm' or 'copy'."""
    if variant["library"] == "torch":
        return _with_torch(program["kind"])
    import numpy as np

    if program["kind"] == "sgemm":
        a = np.ones((SIZE, SIZE), np.float32)
        out = np.empty_like(a)
        return Work(lambda: np.matmul(a, a, out=out), {"flops": 2 * SIZE**3})
    return _numpy_copy(np)


def _numpy_copy(np: Any) -> Work:
    """Copies in as many threads as there are processors; NumPy lets go of the lock."""
    import concurrent.futures

    workers = len(os.sched_getaffinity(0))
    source = np.ones(BYTES // 4, np.float32)
    target = np.empty_like(source)
    parts = list(zip(np.array_split(target, workers), np.array_split(source, workers), strict=True))
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    return Work(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts)), {"bytes": 2 * BYTES})


def _with_torch(kind: str) -> Work:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if kind == "sgemm":
        a = torch.ones(SIZE, SIZE)
        out = torch.empty_like(a)
        return Work(lambda: torch.mm(a, a, out=out), {"flops": 2 * SIZE**3})
    source = torch.ones(BYTES // 4)
    target = torch.empty_like(source)
    return Work(lambda: target.copy_(source), {"bytes": 2 * BYTES})
