"""The two networks of the study, and their files."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import lazy_loader
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from facelab.checks import as_json, expect, kinds, of_kind, real, whole
from facelab.files import loaded
from facelab.verification import Calibration

torchvision = lazy_loader.load("torchvision")  # PyTorch's compiler comes with it: two seconds
SMALLEST_OF_RESNET = 17  # pixels a side: of 16, the map before its last stride is one pixel
WIDEST = 65_536  # values of an embedding, channels, pixels of a side
EXPECTED = "a network of save_network"
TO_DO = "delete it, or name another one"
CLOSE = 0.01  # how far float16 may be off, of the length of a channel's weights
ANY_OTHER = "facelab.export_onnx(model, path, image_size=...) writes any other network"


@kinds
def siamese_cnn(
    embedding_size: int = 128,
    image_size: int = 64,
    dropout: float = 0.0,
    channels: Sequence[int] = (32, 64, 128, 256),
) -> nn.Module:
    """Build the Siamese baseline: blocks of convolution and pooling, then one linear layer.

    Both images of a pair pass through this same network. It maps images of shape (B, 3, image_size,
    image_size), values in [-1, 1], to embeddings of shape (B, embedding_size), not normalised. Each
    block, of so many `channels`, halves the image: `image_size` is a multiple of 16 for four.
    `dropout`, in [0, 1), is the share of values dropped before the linear layer.

    Chopra, Hadsell, LeCun, "Learning a Similarity Metric Discriminatively, with Application to
    Face Verification", CVPR 2005; Koch, Zemel, Salakhutdinov, "Siamese Neural Networks for
    One-shot Image Recognition", 2015.
    """
    _check(embedding_size, dropout)
    image_size = whole("image_size", image_size, 1, WIDEST)
    channels = [whole("channels", width, 1, WIDEST) for width in np.atleast_1d(channels)]
    expect(channels, "channels of a block or more", "none")
    shrink = 2 ** len(channels)
    expect(image_size % shrink == 0, f"an image_size that is a multiple of {shrink}", image_size)
    layers = []
    for before, width in pairwise((3, *channels)):
        layers += [
            nn.Conv2d(before, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),  # of a quarter of the values; the same as before pooling
        ]
    values = channels[-1] * (image_size // shrink) ** 2
    layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(values, embedding_size)]
    return nn.Sequential(*layers)


@kinds
def residual_cnn(
    embedding_size: int = 128,
    image_size: int = 64,
    dropout: float = 0.0,
    channels: Sequence[int] = (48, 96, 192, 384),
) -> nn.Module:
    """Build `siamese_cnn` with a residual block after each of its blocks.

    Two convolutions of the halved image, whose channels are weighted by squeeze and excitation, are
    added to it (He et al., CVPR 2016; Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018).
    Input, output and parameters are those of `siamese_cnn`.
    """
    plain = siamese_cnn(embedding_size, image_size, dropout, channels)
    widths = iter(channels)
    layers = []
    for layer in plain:
        layers.append(layer)
        if isinstance(layer, nn.ReLU):  # the end of a block
            layers.append(Residual(next(widths)))
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Add two convolutions of the input, weighted by channel, to the input: (B, width, H, W)."""

    def __init__(self, width: int):
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            torchvision.ops.SqueezeExcitation(width, max(1, width // 8)),
        )

    def forward(self, images):
        """Return an array of the shape of the input."""
        return functional.relu(images + self.change(images))


@kinds
def resnet50(
    embedding_size: int = 128, pretrained: bool = False, dropout: float = 0.0
) -> nn.Module:
    """Build torchvision's ResNet-50 with its classifier replaced by an embedding layer.

    It maps images (B, 3, H, W) of 17 pixels a side or more as `siamese_cnn` does. Of smaller ones
    its last stage would see a single pixel, and the gradient of a 3 x 3 convolution with stride 2
    over one pixel is garbage in bfloat16 on processors with AMX (oneDNN 3.12). If `pretrained`, its
    weights are torchvision's of ImageNet (outside data: say so beside any result).

    He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
    """
    _check(embedding_size, dropout)
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
    try:
        network = torchvision.models.resnet50(weights=weights if pretrained else None)
    except OSError as error:
        to_do = f"put that file into {torch.hub.get_dir()}/checkpoints, or use pretrained=False"
        raise OSError(f"expected to download {weights.url}, got {error}; {to_do}") from error
    linear = nn.Linear(network.fc.in_features, embedding_size)
    network.fc = nn.Sequential(nn.Dropout(dropout), linear) if dropout else linear
    network.register_forward_pre_hook(_refuse_small)
    return network


def _refuse_small(network: nn.Module, inputs: tuple) -> None:
    side = min(inputs[0].shape[2:])
    least = f"images of at least {SMALLEST_OF_RESNET} pixels a side for ResNet-50"
    expect(side >= SMALLEST_OF_RESNET, least, side)


def _check(embedding_size, dropout) -> None:
    whole("embedding_size", embedding_size, 1, WIDEST)
    real("dropout", dropout, 0, 0.999)


@kinds
def save_network(path: str | Path, model: nn.Module, architecture: dict, **settings) -> None:
    """Write the weights in float16, and what is needed to use them, to a safetensors file.

    Where float16 is more than 1 % off in a channel, they are written in float32. `architecture` has
    the ``name`` of the function that made the model, `siamese_cnn`, `residual_cnn` or `resnet50`,
    and its arguments. Any other is a ValueError: its file would have to name code, and whoever
    loads it would run that; `facelab.export_onnx` takes it.

    `settings` are whatever a user of the network has to know, as JSON takes it: ``image_size``,
    ``crop`` (of photos of LFW's 250 pixels a side, or of ``side``) and ``threshold`` at least; see
    `check_settings`.
    """
    check_settings(settings)
    weights = model.state_dict()
    try:
        _without_weights(architecture).load_state_dict(weights, assign=True)
    except RuntimeError as error:
        expected = f"expected weights of {architecture}, got another network's"
        raise ValueError(f"{expected}; {ANY_OTHER}") from error
    broken = [name for name, weight in weights.items() if not weight.isfinite().all()]
    expect(not broken, "finite weights", f"others in {', '.join(broken[:3])}")
    about = {"architecture": json.dumps(architecture), "settings": as_json(settings)}
    kept = {name: _small(weight).cpu().contiguous() for name, weight in weights.items()}
    save_file(kept, path, about)


@kinds
def load_network(path: str | Path) -> tuple[nn.Module, dict]:
    """Read a network that `save_network` wrote: in float32, ready to embed, and its settings."""
    settings = network_settings(path)
    return loaded(_with_weights, path, EXPECTED, TO_DO), settings


def network_settings(path: str | Path) -> dict:
    """Read the settings of a network that `save_network` wrote, without its weights."""
    return loaded(lambda _: check_settings(_said(path, "settings")), path, EXPECTED, TO_DO)


def check_settings(settings: dict) -> dict:
    """Return what is known of a network; a ValueError if what others read of it is no such thing.

    These are ``image_size``, ``crop`` and ``side`` in pixels, ``threshold``, ``flip`` and
    ``shift`` as `facelab.embed` has them, whether photos are ``aligned``, what ``training`` it
    had, in words, and its ``calibration`` as `Calibration.as_plain` has it; each may be missing.
    """
    known = {name: value for name, value in dict(settings).items() if value is not None}
    for name in {"image_size", "crop", "side"} & known.keys():
        whole(name, known[name], 1, WIDEST)
    whole("shift", known.get("shift", 0), 0, WIDEST)
    for name, kind in {"flip": bool, "aligned": bool, "training": str}.items():
        of_kind(name, known.get(name, kind()), kind)
    real("threshold", known.get("threshold", 0.0))
    if "calibration" in known:
        Calibration.of_plain(known["calibration"])
    return dict(settings)


def _said(path: str | Path, what: str):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()[what])


def _with_weights(path: str | Path) -> nn.Module:
    model = _without_weights(_said(path, "architecture"))
    model.load_state_dict(load_file(path), assign=True)
    return model.float().eval()


def _small(weight: torch.Tensor) -> torch.Tensor:
    if not weight.is_floating_point():
        return weight
    small = weight.half()
    channels = weight.double().reshape(*weight.shape[:1], -1)  # whose squares do not vanish
    off = (small.reshape(channels.shape) - channels).norm(dim=-1)
    return weight.float() if (off > CLOSE * channels.norm(dim=-1)).any() else small


def _without_weights(architecture: dict) -> nn.Module:
    """Build the network's shapes alone, and ask for no pretrained weights."""
    networks = {"siamese_cnn": siamese_cnn, "residual_cnn": residual_cnn, "resnet50": resnet50}
    arguments = dict(architecture)
    name = arguments.pop("name", None)
    expected = f"an architecture named {' or '.join(networks)}"
    expect(name in networks, expected, f"{name!r}; {ANY_OTHER}")
    arguments.pop("pretrained", None)
    with torch.device("meta"):
        return networks[name](**arguments)
