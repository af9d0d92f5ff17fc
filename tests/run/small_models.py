"""The networks of the library, small, each with the plain network that half of it is, and an image."""

from reds_jax.models import CNN, DNN, DSCNN, MobileNetV1, ResNet

NETWORKS = {
    "dnn": (DNN(3, (8, 6)), DNN(3, (4, 3)), (4, 3, 1)),
    "cnn": (CNN(3, (6, 4), 4, 8), CNN(3, (3, 2), 2, 4), (29, 9, 1)),
    "ds_cnn": (DSCNN(3, 6, (4, 3), (2, 1), ((1, 1), (2, 2)), (3, 2)), DSCNN(3, 3, (4, 3), (2, 1), ((1, 1), (2, 2)), (3, 2)),
               (11, 6, 1)),
    "mobilenet": (MobileNetV1(3, 4, ((6, 1), (8, 2))), MobileNetV1(3, 2, ((3, 1), (4, 2))), (8, 9, 3)),
    "resnet": (ResNet(3, (4, 6)), ResNet(3, (2, 3)), (7, 8, 3)),
}
