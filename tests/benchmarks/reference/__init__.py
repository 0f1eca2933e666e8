"""What the other side runs: no module here imports asd_jax."""
