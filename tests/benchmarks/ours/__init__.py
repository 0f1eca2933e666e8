"""Our side of the benchmarks, under the settings of JAX that our commands make."""

import jax

jax.config.update("jax_cpu_enable_async_dispatch", False)  # as asd_jax/commands.py
