"""The supervised pump classifier (Sun 2025): `recipe.py` is its story, stage by stage."""
