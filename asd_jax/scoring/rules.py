"""The rules by which `ensemble` weighs branches; a file apart, for settings wait for no jax."""

RULES = ("recommended", "discriminant", "literal", "fixed", "equal")
