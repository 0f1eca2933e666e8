"""Every network of Sun's Tables 4 and 5 by name."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from flax import linen as nn

from asd_jax.errors import UserError
from asd_jax.models.attention import Attention
from asd_jax.models.cnn import CNN
from asd_jax.models.conformer import Conformer
from asd_jax.models.efficientnet import SCALES, efficientnet_b, efficientnetv2_s
from asd_jax.models.mobilevit import MobileViT
from asd_jax.models.model import Model, wrap
from asd_jax.models.resnet import ResNet
from asd_jax.models.rows import around


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network of the registry.

    Attributes:
        module: makes the linen module from options.
        size: height and width of its input where it was published.
        options: the options that it takes beside num_outputs, in_channels, dropout and dtype.
        at_a_time: examples that a CPU computes at a time outside training; 0 for the whole batch.
    """

    module: Callable[..., nn.Module]
    size: int = 224
    options: tuple[str, ...] = ("width",)
    at_a_time: int = 0


_EFFICIENTNET = (
    "width",
    "depth",
    "attention",
    "attention_stages",
    "drop_path",
    "rematerialise",
)

CLASSIFIERS: dict[str, Classifier] = {
    # Fours: their maps stay in the cache (tests/benchmarks/README.md).
    "efficientnetv2_s": Classifier(efficientnetv2_s, 224, _EFFICIENTNET, at_a_time=4),
    **{
        f"efficientnet_b{i}": Classifier(functools.partial(efficientnet_b, i), size, _EFFICIENTNET)
        for i, (_, _, size, _) in enumerate(SCALES)
    },
    "mobilevit_s": Classifier(MobileViT, 256),
    "resnet50": Classifier(ResNet, 224, ("width", "depth")),
    "conformer": Classifier(Conformer, 224, ("width", "depth")),
    "cnn": Classifier(CNN),
}


def classifier_module(
    name: str,
    *,
    num_outputs: int = 1,
    in_channels: int = 3,
    attention: str | Attention | None = None,
    attention_stages: tuple[int, ...] = (),
    simam: str = "official",
    **options: Any,
) -> nn.Module:
    """The linen module called `name`.

    Args:
        name: a key of `CLASSIFIERS`.
        num_outputs: logits; 0 for the embedding in their place.
        in_channels: channels of the input.
        attention: a kind (a key of `ATTENTION`) or full settings, for the EfficientNets; None for
            the network's own.
        attention_stages: numbers, from 1, of the stages that carry it; none at all for those where
            the released network has squeeze-and-excitation.
        simam: 'official' or 'sun', where `attention` is a kind.
        options: dropout, dtype, and those that the network's entry names; None for its own value.

    Raises:
        UserError: for an unknown name, or an option that this network does not have.
    """
    if name not in CLASSIFIERS:
        raise UserError(f"network.name is {name!r}; known are {', '.join(CLASSIFIERS)}.")
    entry = CLASSIFIERS[name]
    if isinstance(attention, str):
        attention = Attention(attention, simam=simam)
    if "attention" in entry.options:
        options.update(attention=attention, attention_stages=tuple(attention_stages))
    elif attention is not None and attention.kind != "none":
        raise UserError(
            f"network.attention is {attention.kind!r}, but {name} carries none; set it to 'none'."
        )
    known = ("dropout", "dtype", *entry.options)
    given = {field: value for field, value in options.items() if value is not None}
    for field, value in list(given.items()):
        if field not in known:
            if field in ("width", "depth") and value == 1:
                del given[field]
                continue
            raise UserError(
                f"network.{field} is {value!r}, but {name} has no such option; "
                f"it has {', '.join(known)}."
            )
    return entry.module(num_outputs=num_outputs, in_channels=in_channels, **given)


def build_classifier(
    name: str,
    *,
    in_channels: int = 3,
    input_size: int | None = None,
    normalise_rows: bool = False,
    head: str = "mean",
    **options: Any,
) -> Model:
    """The network called `name`; its `apply` returns (logits or embedding, intermediates).

    intermediates["embedding"] is the vector before the last linear layer, `[batch, dim]`; the
    others are maps by stage.

    Args:
        name: a key of `CLASSIFIERS`.
        in_channels: channels of the input.
        input_size: height and width at which variables are made; None for the published one. Only
            'conformer' is tied to the height; the others take any size.
        normalise_rows: each row of the picture by itself; see `rows.Rows`.
        head: 'mean', the network's own; 'rows', which knows the frequencies.
        options: of `classifier_module`.

    Raises:
        UserError: for an unknown name, or an option that this network does not have.
    """
    whole = functools.partial(around, normalise=normalise_rows, head=head)
    module = classifier_module(name, in_channels=in_channels, **options)
    size = input_size or CLASSIFIERS[name].size
    shape = (1, size, size, in_channels)
    return wrap(whole(module), shape, at_a_time=CLASSIFIERS[name].at_a_time)
