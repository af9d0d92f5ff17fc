"""Networks of the library, large and small, each with the shape of its input."""

from reds_jax.models.cnn import CNN
from reds_jax.models.ds_cnn import DSCNN
from reds_jax.models.registry import build
from reds_jax.models.resnet import ResNet

LIBRARY = {
    "dnn_s": (lambda: build("dnn_s"), (25, 10, 1)),
    "dnn_l": (lambda: build("dnn_l"), (6, 5, 1)),
    "cnn_s": (lambda: build("cnn_s"), (22, 8, 1)),
    "cnn_l": (lambda: build("cnn_l"), (22, 8, 1)),
    "cnn": (lambda: CNN(4, (6, 7), 5, 9), (22, 8, 1)),
    "ds_cnn_s": (lambda: build("ds_cnn_s"), (49, 10, 1)),
    "ds_cnn_l": (lambda: build("ds_cnn_l"), (13, 6, 1)),
    "ds_cnn": (lambda: DSCNN(4, 9, (10, 4), (2, 2), ((2, 2), (1, 1))), (25, 10, 1)),
    "vision_ds_cnn_s": (lambda: build("vision_ds_cnn_s", {"pool": [4, 5]}), (16, 16, 3)),
    "mobilenet": (lambda: build("mobilenet_v1", {"alpha": 0.125}), (32, 32, 3)),
    "mobilenet_relu6": (lambda: build("mobilenet_v1", {"alpha": 0.0625, "activation": "relu6"}), (32, 32, 3)),
    "resnet8": (lambda: build("resnet8"), (16, 16, 3)),
    "resnet": (lambda: ResNet(4, (5, 6, 9)), (9, 7, 3)),
}
