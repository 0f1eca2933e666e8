"""Image networks made to hear: a row of a spectrogram is a frequency, a row of a photograph is not.

Two options around any network of the registry. Neither is in Sun (2025); `literal` has none.

- Rows are normalised each by itself, over clips and time, as PANNs do at their input (Kong et al.
  2020, "PANNs: Large-scale pretrained audio neural networks", `bn0`).
- A head that knows the rows. A network that ends in a mean over the whole map forgets at which
  frequency something was. This head sees, beside that mean, the mean and the deviation over time of
  each row of the picture: a wide linear part beside a deep one, trained together (Cheng et al.
  2016, "Wide & deep learning"). The wide part alone is a logistic regression on the clip's mean
  spectrum and its spread.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.models.layers import BatchNorm, dense

HEADS = ("mean", "rows")
BODY = "network"  # where the variables of the network inside lie
_LEAST_VARIANCE = 1e-6  # of a row that never changes: its deviation has a gradient all the same


class Rows(nn.Module):
    """A network on pictures whose rows are frequencies.

    Attributes:
        network: the network inside, without its last layer: it returns (embedding, taps).
        num_outputs: logits; 0 for the embedding.
        normalise: each row by its mean and deviation over the batch and over time.
        head: 'mean', a linear layer on the network's embedding; 'rows', and one on the rows' means
            and deviations over time.
        dropout: before either layer, in training.
    """

    network: nn.Module
    num_outputs: int = 1
    normalise: bool = True
    head: str = "rows"
    dropout: float = 0.2

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Returns (logits or embedding, taps); taps as the network's, "embedding" with the rows."""
        if self.normalise:
            fixed = BatchNorm(use_bias=False, use_scale=False, name="input")
            x = jnp.moveaxis(fixed(jnp.moveaxis(x, 1, -1), train=train), -1, 1)
        deep, taps = self.network(x, train=train)
        drop = nn.Dropout(self.dropout, deterministic=not train)
        parts: list[tuple[str, Array]] = [("classifier", deep)]
        if self.head == "rows":
            fixed = BatchNorm(use_bias=False, use_scale=False, name="rows")
            parts.append(("wide", fixed(row_statistics(x), train=train)))
        taps = {**taps, "embedding": jnp.concatenate([part for _, part in parts], -1)}
        if not self.num_outputs:
            return taps["embedding"], taps
        logits = sum(dense(self.num_outputs, name=name)(drop(part)) for name, part in parts)
        return logits, taps


def row_statistics(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch twice_height"]:
    """Mean and standard deviation over time of each row, of the mean of the channels."""
    x = x.mean(-1, dtype=jnp.float32)
    return jnp.concatenate([x.mean(2), jnp.sqrt(x.var(2) + _LEAST_VARIANCE)], -1)


def around(module: Any, *, normalise: bool, head: str) -> nn.Module:
    """The module itself, or, where an option asks for more, within `Rows`.

    Args:
        module: of the registry.
        normalise: each row by itself.
        head: a name in `HEADS`.

    Raises:
        UserError: for an unknown head.
    """
    if head not in HEADS:
        raise UserError(f"network.head is {head!r}; known are {', '.join(HEADS)}.")
    if not normalise and head == "mean":
        return module
    inside = module.clone(num_outputs=0)
    return Rows(inside, module.num_outputs, normalise, head, module.dropout)


def body_of(variables: Any) -> Any:
    """The variables of the network inside, or all of them where nothing is around it."""
    if BODY not in variables["params"]:
        return variables
    return {name: tree.get(BODY, {}) for name, tree in variables.items()}


def with_body(variables: Any, body: Any) -> Any:
    """The variables with those of the network inside replaced."""
    if BODY not in variables["params"]:
        return body
    return {name: {**tree, BODY: body.get(name, {})} for name, tree in variables.items()}
