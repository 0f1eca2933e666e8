"""Augmentation of one example, `f(key, x, *, ...)`, vmapped by the caller."""
