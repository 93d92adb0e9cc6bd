import copy
import json
import math
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from facelab import models


@pytest.mark.parametrize("size", [32, 48, 64])
def test_siamese_cnn_maps_images_to_embeddings(size):
    model = models.siamese_cnn(embedding_size=16, image_size=size)
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 16)


def test_a_narrow_residual_cnn_has_a_channel_to_weigh_by():
    narrow = models.residual_cnn(4, 16, channels=(4, 8))
    assert all(weight.numel() for weight in narrow.parameters())


def test_siamese_cnn_is_made_of_convolution_pooling_and_linear_layers():
    kinds = [type(layer).__name__ for layer in models.siamese_cnn()]
    assert kinds.count("Conv2d") == kinds.count("MaxPool2d") == 4
    assert kinds.count("Linear") == 1
    assert kinds[-1] == "Linear"


def test_siamese_cnn_is_the_textbooks_which_pools_after_relu_bit_for_bit():
    def gradients(model):
        model(images).square().mean().backward()
        return [parameter.grad for parameter in model.parameters()]

    images = torch.rand(8, 3, 32, 32)
    ours = models.siamese_cnn(16, image_size=32)
    layers = copy.deepcopy(list(ours))
    for k in range(2, 16, 4):  # after convolution and batch normalisation
        layers[k : k + 2] = [nn.ReLU(), nn.MaxPool2d(2)]
    textbook = nn.Sequential(*layers)
    assert torch.equal(ours(images), textbook(images))
    assert all(map(torch.equal, gradients(ours), gradients(textbook)))


def test_siamese_cnn_refuses_an_image_size_it_cannot_halve_four_times():
    with pytest.raises(ValueError, match="multiple of 16, got 50"):
        models.siamese_cnn(image_size=50)


def test_siamese_cnn_has_the_channels_it_is_given_and_the_usual_ones_otherwise():
    def widths(model):
        return [layer.out_channels for layer in model if isinstance(layer, nn.Conv2d)]

    assert widths(models.siamese_cnn()) == [32, 64, 128, 256]
    small = models.siamese_cnn(16, image_size=24, channels=(4, 8, 12))
    assert widths(small) == [4, 8, 12]
    assert small(torch.zeros(2, 3, 24, 24)).shape == (2, 16)
    with pytest.raises(ValueError, match="multiple of 8, got 28"):
        models.siamese_cnn(image_size=28, channels=(4, 8, 12))


def test_resnet50_drops_values_before_its_embedding_only_when_asked():
    assert isinstance(models.resnet50().fc, nn.Linear)
    dropout, linear = models.resnet50(16, dropout=0.3).fc
    assert (dropout.p, linear.out_features) == (0.3, 16)


def test_resnet50_refuses_images_of_which_its_last_stage_sees_one_pixel():
    model = models.resnet50(4)
    assert model(torch.zeros(2, 3, 17, 17)).isfinite().all()
    with pytest.raises(ValueError, match=r"at least 17 pixels a side for ResNet-50, got 16$"):
        model(torch.zeros(2, 3, 17, 16))


def test_resnet50_has_an_embedding_of_128_values_for_any_image_size():
    model = models.resnet50().eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 128)
        assert model(torch.zeros(1, 3, 112, 112)).shape == (1, 128)
    # torchvision's 25,557,032 weights less the classifier's, plus the embedding's
    expected = 25_557_032 - (2048 * 1000 + 1000) + (2048 * 128 + 128)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_missing_imagenet_weights_say_where_to_put_them(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(OSError, match=r"resnet50.*no network.*pretrained=False"):
        models.resnet50(pretrained=True)


ARCHITECTURE = {"name": "siamese_cnn", "embedding_size": 8, "image_size": 16, "channels": [4, 4]}


def saved(path, **settings):
    model = models.siamese_cnn(8, 16, channels=(4, 4)).to(memory_format=torch.channels_last)
    model(torch.randn(32, 3, 16, 16))  # moves the running means
    models.save_network(path, model, ARCHITECTURE, **settings)
    return model.eval()


def test_a_saved_network_is_loaded_with_its_settings_and_embeds_as_before(tmp_path):
    path = tmp_path / "network.safetensors"
    settings = {"image_size": 16, "crop": 128, "threshold": 1.25, "flip": True}
    model = saved(path, **settings)
    loaded, got = models.load_network(path)
    assert got == settings
    assert not loaded.training
    images = torch.randn(8, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(loaded(images), model(images), atol=0.01)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    weights = sum(p.numel() for p in model.parameters())
    assert path.stat().st_size < 2 * weights + 3000  # two bytes each, and a header


def test_a_network_is_not_saved_under_the_name_of_another(tmp_path):
    model, path = models.siamese_cnn(8, 16, channels=(4, 8)), tmp_path / "network.safetensors"
    with pytest.raises(ValueError, match="another network"):
        models.save_network(path, model, ARCHITECTURE)
    with pytest.raises(ValueError, match="residual_cnn or resnet50, got 'vgg'"):
        models.save_network(path, model, {"name": "vgg"})
    assert not path.exists()


def test_a_file_that_is_no_network_is_refused_and_never_unpickled(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(pickle.dumps(ARCHITECTURE))
    with pytest.raises(ValueError, match="safetensors: expected a network of save_network"):
        models.load_network(path)
    saved(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="expected a network"):
        models.load_network(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="network.safetensors: expected .*; delete it"):
        models.load_network(path)
    other = models.siamese_cnn(8, 16, channels=(4, 8)).state_dict()
    about = {"architecture": json.dumps(ARCHITECTURE), "settings": "{}"}
    huge = ARCHITECTURE | {"embedding_size": 10**12}  # more than there is memory
    for architecture in (ARCHITECTURE, huge, [1], {"name": ["siamese_cnn"]}, {"name": "vgg"}):
        save_file(other, path, about | {"architecture": json.dumps(architecture)})
        with pytest.raises(
            ValueError, match="network.safetensors: expected .*; delete it"
        ) as error:
            models.load_network(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": "1"},
        {"image_size": "big"},
        {"crop": -1},
        {"flip": "no"},
        {"aligned": 1},
        {"training": 3},
    ]
    + [{"calibration": calibration} for calibration in ({"low": []}, [1], "sure")],
)
def test_settings_that_make_no_sense_are_neither_saved_nor_loaded(tmp_path, wrong):
    path = tmp_path / "network.safetensors"
    (name,) = wrong
    with pytest.raises(ValueError, match=f"expected (a )?{name}"):
        saved(path, **wrong)
    about = {"architecture": json.dumps(ARCHITECTURE), "settings": json.dumps(wrong)}
    save_file(models.siamese_cnn(8, 16, channels=(4, 4)).state_dict(), path, about)
    for load in (models.load_network, models.network_settings):
        with pytest.raises(ValueError, match=f"network.safetensors: .*expected (a )?{name}"):
            load(path)


def test_weights_that_float16_cannot_hold_are_kept(tmp_path):
    path = tmp_path / "network.safetensors"
    model = models.siamese_cnn(8, 16, channels=(4, 4))
    with torch.no_grad():
        model[1].running_var[0] = 70_000
        model[1].weight[0] = 1.9e-10
        model[4].weight[1] *= 1e-8  # a channel, which the normalisation behind it makes large again
    models.save_network(path, model, ARCHITECTURE)
    loaded = models.load_network(path)[0]
    for layer, part in ((1, "running_var"), (1, "weight"), (4, "weight")):
        assert torch.equal(getattr(loaded[layer], part), getattr(model[layer], part))
    with pytest.raises(ValueError, match="expected threshold a finite number, got nan"):
        models.save_network(path, model, ARCHITECTURE, threshold=math.nan)
    with pytest.raises(ValueError, match="expected mean finite and as JSON takes it, got tensor"):
        models.save_network(path, model, ARCHITECTURE, mean=torch.ones(1))
    with torch.no_grad():
        model[0].weight[0] = math.nan
    with pytest.raises(ValueError, match="expected finite weights, got others in 0.weight"):
        models.save_network(path, model, ARCHITECTURE)


def test_a_saved_network_of_pretrained_weights_is_loaded_without_the_internet(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    path, model = tmp_path / "network.safetensors", models.resnet50(4)
    models.save_network(path, model, {"name": "resnet50", "embedding_size": 4, "pretrained": True})
    assert models.load_network(path)[0].fc.out_features == 4
