"""What identification learns besides the embedding: class centres (Deng et al. 2019)."""

from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.model import Model, wrap


class ClassCentres(nn.Module):
    """One or several centres for each class; only their directions count.

    `asd_jax.losses.class_cosines` compares embeddings with them, `arcface_loss` learns them.

    Attributes:
        classes: number of classes.
        dim: width of the embedding.
        sub_centres: centres a class; the nearest counts.
    """

    classes: int
    dim: int
    sub_centres: int = 1

    @nn.compact
    def __call__(self, *, train: bool) -> Float[Array, "classes centres dim"]:
        """The centres, not normalised."""
        del train
        shape = (self.classes, self.sub_centres, self.dim)
        # Random directions of about unit length, so that their first updates turn them as fast.
        return self.param("centres", nn.initializers.normal(self.dim**-0.5), shape)


def class_centres(classes: int, dim: int, *, sub_centres: int = 1) -> Model:
    """Wraps `ClassCentres`; `apply` takes no input and returns `[classes, sub_centres, dim]`."""
    return wrap(ClassCentres(classes, dim, sub_centres))
