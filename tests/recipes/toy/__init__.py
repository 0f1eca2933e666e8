"""A third recipe, whole but small: an autoencoder of mean levels, and a Gaussian on what it misses.

CONTRIBUTING.md walks through these files; `tests/recipes/test_toy_recipe.py` runs them.
"""
