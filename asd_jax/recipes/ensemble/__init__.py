"""The contrastive ensemble (Liao, Yang, Lu 2025): `recipe.py` is its story, stage by stage."""
