"""Networks: the only folder that imports flax.linen. Each builder returns a `Model`."""

from collections.abc import Callable
from typing import Any

from asd_jax.errors import UserError
from asd_jax.models.band_cnn import band_cnn as band_cnn
from asd_jax.models.classifiers import CLASSIFIERS as CLASSIFIERS
from asd_jax.models.classifiers import build_classifier as build_classifier
from asd_jax.models.fusion import fusion as fusion
from asd_jax.models.ghostnet import ghostnetv2 as ghostnetv2
from asd_jax.models.heads import class_centres as class_centres
from asd_jax.models.heads import predictor as predictor
from asd_jax.models.heads import projector as projector
from asd_jax.models.model import Model as Model
from asd_jax.models.modulation import modulation as modulation
from asd_jax.models.pretrained import from_timm as from_timm
from asd_jax.models.pretrained import load_safetensors as load_safetensors
from asd_jax.models.temporal import temporal as temporal

# Networks that embed a clip: builder(input_shape without the batch axis, **options) -> Model.
BACKBONES: dict[str, Callable[..., Model]] = {
    "ghostnetv2": ghostnetv2,
    "band_cnn": band_cnn,
    "temporal": temporal,
}


def backbone(name: str, input_shape: tuple[int, ...], **options: Any) -> Model:
    """The network called `name`; its `apply` returns (embedding, intermediates).

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
