"""`python -m asd_jax.main` with tiny networks, which compile in seconds: all else is as in use."""

from asd_jax import commands, main
from asd_jax.recipes import networks
from tests.recipes import tiny

networks.build = tiny.build

if __name__ == "__main__":
    commands.run(main.main)
