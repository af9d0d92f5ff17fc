"""The networks of the literature, each in one screen, written as a user would write his own."""

from reds_jax.models.cnn import CNN, cnn_l, cnn_s
from reds_jax.models.dnn import DNN, dnn_l, dnn_s
from reds_jax.models.ds_cnn import DSCNN, ds_cnn_l, ds_cnn_s, vision_ds_cnn_s
from reds_jax.models.matching import Match, import_variables
from reds_jax.models.mobilenet import MobileNetV1, mobilenet_v1
from reds_jax.models.pretrained import load_ds_cnn, load_mlperf_mobilenet, load_mlperf_resnet8
from reds_jax.models.pretrained_kws import load_kws
from reds_jax.models.registry import build
from reds_jax.models.resnet import ResNet, resnet8
from reds_jax.models.weight_files import read_weights

__all__ = [
    "CNN", "DNN", "DSCNN", "Match", "MobileNetV1", "ResNet", "build", "cnn_l", "cnn_s", "dnn_l", "dnn_s", "ds_cnn_l",
    "ds_cnn_s", "import_variables", "load_ds_cnn", "load_kws", "load_mlperf_mobilenet", "load_mlperf_resnet8", "mobilenet_v1",
    "read_weights", "resnet8", "vision_ds_cnn_s",
]
