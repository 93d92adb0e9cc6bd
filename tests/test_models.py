import pytest
import torch

from facelab import models


@pytest.mark.parametrize("size", [32, 48, 64])
def test_siamese_cnn_maps_images_to_embeddings(size):
    model = models.siamese_cnn(embedding_size=16, image_size=size)
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 16)


def test_siamese_cnn_is_made_of_convolution_pooling_and_linear_layers():
    kinds = [type(layer).__name__ for layer in models.siamese_cnn()]
    assert kinds.count("Conv2d") == kinds.count("MaxPool2d") == 4
    assert kinds.count("Linear") == 1
    assert kinds[-1] == "Linear"


def test_siamese_cnn_refuses_an_image_size_it_cannot_halve_four_times():
    with pytest.raises(ValueError, match="multiple of 16, got 50"):
        models.siamese_cnn(image_size=50)


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
