"""Networks: the only folder that imports flax.linen. Each builder returns a `Model`."""

from collections.abc import Callable
from typing import Any

from asd_jax.errors import UserError
from asd_jax.models.arcface import class_centres
from asd_jax.models.classifiers import CLASSIFIERS, build_classifier
from asd_jax.models.fusion import fusion
from asd_jax.models.ghostnet import ghostnetv2
from asd_jax.models.model import Model
from asd_jax.models.pretrained import from_timm, load_safetensors
from asd_jax.models.simsiam import predictor, projector
from asd_jax.models.temporal import temporal

__all__ = [
    "BACKBONES",
    "CLASSIFIERS",
    "Model",
    "backbone",
    "build_classifier",
    "class_centres",
    "from_timm",
    "fusion",
    "ghostnetv2",
    "load_safetensors",
    "predictor",
    "projector",
    "temporal",
]

# Networks that embed a clip: builder(input_shape without the batch axis, **options) -> Model.
BACKBONES: dict[str, Callable[..., Model]] = {
    "ghostnetv2": ghostnetv2,
    "temporal": temporal,
}


def backbone(name: str, input_shape: tuple[int, ...], **options: Any) -> Model:
    """The network called `name`; its `apply` returns (embedding, taps).

    Args:
        name: a key of `BACKBONES`.
        input_shape: (mels, frames, channels) of a spectrogram, or (samples,) of a waveform.
        options: of the builder.

    Raises:
        UserError: for an unknown name.
    """
    if name not in BACKBONES:
        raise UserError(f"encoder.name is {name!r}; known are {', '.join(BACKBONES)}.")
    return BACKBONES[name](input_shape, **options)
