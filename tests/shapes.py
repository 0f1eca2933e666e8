"""The run-time type checker of the tests: shapes by jaxtyping, types by beartype."""

from beartype import BeartypeConf, beartype

# An int where a float is annotated is fine, as PEP 484 says.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
