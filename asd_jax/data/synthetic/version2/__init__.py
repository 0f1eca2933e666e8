"""Version 2 of the synthetic machines: see README.md of the folder above."""
