"""What the notebooks in `colab/` need besides the commands: recordings, sounds and pictures."""
