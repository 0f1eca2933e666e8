"""Image networks for spectrograms, whose rows are frequencies: those of photographs are not.

Two options around any network of the registry. Neither is in Sun (2025); `literal` has none.

- Rows are normalised each by itself, over clips and time, as PANNs do at their input (Kong et al.
  2020, "PANNs: Large-scale pretrained audio neural networks", `bn0`).
- A head that knows the rows. A network that ends in a mean over the whole map forgets at which
  frequency something was. This head has, beside the layer on that mean, one on the mean and the
  deviation over time of each row of the picture: a wide part beside a deep one (Cheng et al. 2016,
  "Wide & deep learning"). The wide part is a logistic regression, and is fitted as one when the
  network has been trained (`recipes.pump_classifier.wide`); until then it is zero.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.models.layers import BatchNorm, dense

HEADS = ("mean", "rows")
BODY = "network"  # where the variables of the network inside lie
WIDE = "wide"  # the kernel of the wide part
_LEAST_VARIANCE = 1e-6  # of a row that never changes: its deviation has a gradient all the same


class Rows(nn.Module):
    """A network on pictures whose rows are frequencies.

    Attributes:
        network: the network inside, without its last layer: it returns (embedding, intermediates).
        num_outputs: logits; 0 for the embedding.
        normalise: each row by its mean and deviation over the batch and over time.
        head: 'mean', a linear layer on the network's embedding; 'rows', and one on the means and
            deviations over time of the rows as they come, which gradients do not reach.
        dropout: before the layer on the embedding, in training.
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
        """Returns (logits or embedding, the network's intermediates); "embedding" has the rows."""
        rows = row_statistics(x)
        if self.normalise:
            fixed = BatchNorm(use_bias=False, use_scale=False, name="input")
            x = jnp.moveaxis(fixed(jnp.moveaxis(x, 1, -1), train=train), -1, 1)
        deep, intermediates = self.network(x, train=train)
        wide = self.head == "rows"
        intermediates = {
            **intermediates,
            "embedding": jnp.concatenate([deep, rows], -1) if wide else deep,
        }
        if not self.num_outputs:
            return intermediates["embedding"], intermediates
        seen = nn.Dropout(self.dropout, deterministic=not train)(deep)
        logits = dense(self.num_outputs, name="classifier")(seen)
        if wide:
            shape = (rows.shape[-1], self.num_outputs)
            kernel = self.param(WIDE, nn.initializers.zeros, shape)
            logits += lax.stop_gradient(jnp.dot(rows, kernel, precision=lax.Precision.HIGHEST))
        return logits, intermediates


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
