"""Several processes that make one run, one a host: their start, what they agree on, their end."""

import collections
import contextlib
import faulthandler
import hashlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, Sharding

from asd_jax.errors import PeerLost, UserError, detail
from asd_jax.train.sharding import replicated, sharded

# Seconds without a sign of life after which a process counts as dead, and the others stop; jax
# needs up to a third more to tell them.
SILENCE = 30
# The last to come may have a report to write while the others wait at the end.
_PATIENCE = 3600


def start(processes: str, process: int | None, coordinator: str | None) -> None:
    """Joins the other processes, before the first computation; nothing for ''.

    Args:
        processes: how many, or 'auto': then jax reads what SLURM, Open MPI, GKE or Cloud TPU
            tell each process.
        process: the number of this one, from 0.
        coordinator: `HOST:PORT` of process 0, as all others reach it.

    Raises:
        UserError: a flag is missing, or the others did not come.
    """
    if not processes:
        return
    if processes != "auto" and (not processes.isdecimal() or process is None or not coordinator):
        raise UserError(
            "--processes takes 'auto' on SLURM, Open MPI, GKE and Cloud TPU, elsewhere a number, "
            "with --process=K (from 0) and --coordinator=HOST:PORT of process 0."
        )
    faulthandler.disable()  # absl turns it on: a thread in a step is not to blame for an abort
    known: dict[str, Any] = {}
    if processes != "auto":
        known = {"num_processes": int(processes), "process_id": process}
        known["coordinator_address"] = coordinator
    if hasattr(jax.config, "jax_enable_preemption_service"):
        # It would take SIGTERM from Python; see Agreement.
        jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            **known, heartbeat_timeout_seconds=SILENCE, shutdown_timeout_seconds=_PATIENCE
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--processes={processes}: the processes did not meet "
            f"({detail(error)}); see their logs and --coordinator."
        ) from error


def is_primary() -> bool:
    """Whether this is the process that writes what a run leaves: the only one, or number 0."""
    return jax.process_index() == 0


@contextlib.contextmanager
def primary_first(name: str) -> Iterator[None]:
    """Process 0 goes through the block before the others: they find done what it has done."""
    if not is_primary():
        wait(name)
    yield
    if is_primary():
        wait(name)


def wait(name: str) -> None:
    """Returns when all processes are here.

    Raises:
        PeerLost: one of them has ended.
    """
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        with peer_lost():
            multihost_utils.sync_global_devices(name)


@contextlib.contextmanager
def peer_lost() -> Iterator[None]:
    """Says in one sentence what breaks when another process has ended in the block.

    Raises:
        PeerLost: another process has ended in the block.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if jax.process_count() == 1 or not _is_of_network(error):
            raise
        raise PeerLost(
            f"Process {jax.process_index()} of {jax.process_count()} has lost another one, "
            f"whose log says why ({detail(error)})."
        ) from error


def _is_of_network(error: Exception) -> bool:
    words = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "Connection", "ABORTED", "peer")
    return any(word in str(error) for word in words)


def agree(**parts: Any) -> None:
    """Refuses a run whose processes have not all the same, before its first step.

    A host that lacks two recordings would draw other batches, and no step would tell.

    Args:
        parts: what must be equal, by what a user calls it; of each the `repr` is compared.

    Raises:
        UserError: in every process, with the parts that differ.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    own = np.stack([digest(value) for value in parts.values()])
    with peer_lost():
        every = np.asarray(multihost_utils.process_allgather(own))
    differ = [name for k, name in enumerate(parts) if (every[:, k] != every[0, k]).any()]
    if differ:
        here = ", ".join(f"{name} {digest(parts[name]).tobytes().hex()[:8]}" for name in differ)
        raise UserError(
            f"The processes of this run differ in their {' and '.join(differ)} (here {here}): give "
            "all hosts the same files and the same command."
        )


def digest(value: Any) -> np.ndarray:
    """SHA-256 of what `repr` shows of a value, uint8 `[32]`."""
    text = repr(value).encode("utf-8", "surrogateescape")
    return np.frombuffer(hashlib.sha256(text).digest(), np.uint8)


def place(values: Any, sharding: Sharding) -> jax.Array:
    """`device_put` of what every process has the same values of.

    With several processes, that itself would first compare them over the network.
    """
    if jax.process_count() == 1 or sharding.is_fully_addressable:
        return jax.device_put(values, sharding)
    if jnp.issubdtype(values.dtype, jax.dtypes.prng_key):
        data = place(jax.random.key_data(values), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(values))
    return jax.make_array_from_process_local_data(sharding, np.asarray(values), values.shape)


def to_host(tree: Any) -> Any:
    """Copies what lies on the devices of all processes to this process's host."""
    return jax.device_get(tree) if jax.process_count() > 1 else tree


def broadcast_from_primary(value: float) -> float:
    """The value that process 0 has; in float32 where there are others."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


NOTHING, SAVE, STOP = range(3)


class Agreement:
    """Decides what the processes do after a step, the same for all.

    Saving is a joint act: a process that saved alone would wait for the others for ever, while they
    wait for it in the next step. But each has a clock of its own, and a signal reaches them at
    different steps, or only one of them. So each puts its wish into a small all-reduce behind every
    step, and all follow the greatest wish. That costs no waiting: it is read some steps later, when
    the loop waits for the loss of that step anyway.

    `multihost_utils.reached_preemption_sync_point` does a part of this. It sees SIGTERM only, not
    Ctrl-C, in place of our handler, and the clocks would still need what is here.
    """

    def __init__(self, mesh: Mesh, ahead: int) -> None:
        """Args: the devices, and how many steps may be handed to them before the first is done."""
        self._mesh, self._ahead = mesh, ahead
        self._alone = jax.process_count() == 1
        self._flying: collections.deque[tuple[Any, Any, bool]] = collections.deque()
        self._greatest = jax.jit(jnp.max, out_shardings=replicated(mesh))

    def after(self, loss: jax.Array, wish: int, *, last: bool) -> int:
        """Waits for a step some steps ago, or for all if this is the last; what to do now.

        Args:
            loss: of the step that was begun last, a scalar.
            wish: of this process.
            last: no step comes after it.
        """
        self._flying.append((loss, wish if self._alone else self._share(wish), True))
        agreed = wish if self._alone else NOTHING
        while len(self._flying) > (0 if last else self._ahead):
            loss, asked, fresh = self._flying.popleft()
            jax.block_until_ready(loss)
            if not self._alone and (fresh or int(asked) == STOP):
                agreed = max(agreed, int(asked))
        if agreed == SAVE:  # the wishes on their way were for the same save
            self._flying = collections.deque((*step, False) for *step, _ in self._flying)
        return agreed

    def _share(self, wish: int) -> jax.Array:
        here = np.full(len(self._mesh.local_devices), wish, np.int32)
        return self._greatest(
            jax.make_array_from_process_local_data(sharded(self._mesh), here, (self._mesh.size,))
        )
