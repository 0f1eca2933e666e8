"""What is learned besides an embedding, and left behind with the training.

The heads of SimSiam (Chen and He 2021, arXiv 2011.10566, section 3) and the class centres of
identification (Deng et al. 2019).
"""

from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.layers import BatchNorm, dense, relu
from asd_jax.models.model import Model, wrap


class Projector(nn.Module):
    """Three dense layers with BatchNorm; ReLU after the first two, no scale and shift at the end.

    Attributes:
        out: width of the projection.
        hidden: width of the inner layers; None for that of the input.
    """

    out: int = 512
    hidden: int | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch dim"], *, train: bool
    ) -> Float[Array, "batch projected"]:
        """Projects embeddings."""
        hidden = self.hidden or x.shape[-1]
        for number in (1, 2):
            x = dense(hidden, name=f"dense{number}", bias=False)(x)
            x = relu(BatchNorm(name=f"bn{number}")(x, train=train))
        x = dense(self.out, name="dense3", bias=False)(x)
        return BatchNorm(use_bias=False, use_scale=False, name="bn3")(x, train=train)


class Predictor(nn.Module):
    """A bottleneck of two dense layers, BatchNorm and ReLU between them.

    Attributes:
        hidden: width of the bottleneck, a quarter of the projection in the paper.
    """

    hidden: int = 128

    @nn.compact
    def __call__(self, x: Float[Array, "batch dim"], *, train: bool) -> Float[Array, "batch dim"]:
        """Predicts the projection of the other view."""
        width = x.shape[-1]
        x = dense(self.hidden, name="dense1", bias=False)(x)
        x = relu(BatchNorm(name="bn1")(x, train=train))
        return dense(width, name="dense2")(x)


def projector(dim: int, *, out: int = 512, hidden: int | None = None) -> Model:
    """Wraps `Projector` for embeddings `[batch, dim]`; returns `[batch, out]`."""
    return wrap(Projector(out, hidden), (1, dim))


def predictor(dim: int = 512, *, hidden: int = 128) -> Model:
    """Wraps `Predictor` for projections `[batch, dim]`; returns `[batch, dim]`."""
    return wrap(Predictor(hidden), (1, dim))


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
