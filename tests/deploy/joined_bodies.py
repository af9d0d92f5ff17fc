"""Small networks that join, pad, group, shuffle and dilate, as users write them; `QUICK` have everything once."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from bodies import Conv, Norm, depthwise


def densenet(x):
    """Two layers that see all arrays before them, each behind a norm of its own; a transition; one more."""
    x = Conv(5, name="stem")(x)
    for i in range(2):
        y = Conv(4, name=f"grow_{i}")(nn.relu(Norm(name=f"norm_{i}")(x)))
        x = jnp.concatenate([x, y], -1)
    x = nn.Conv(6, (1, 1), name="transition")(nn.relu(Norm(name="norm_2")(x)))
    x = nn.avg_pool(x, (2, 2), (2, 2))
    return nn.relu(jnp.concatenate([x, Conv(3, name="grow_2")(x)], -1))


def joined_again(x):
    """What is joined is joined again, and read in between behind a norm."""
    x = jnp.concatenate([nn.relu(Conv(5, name="stem")(x)), nn.leaky_relu(nn.Conv(3, (1, 1), name="beside")(x))], -1)
    y = Conv(4, name="grow")(nn.relu(Norm(name="norm")(x)))
    return jnp.concatenate([x, y], -1)


def inception(x):
    x = nn.relu(Conv(5, name="stem")(x))
    a = nn.relu(nn.Conv(3, (1, 1), name="one")(x))
    b = nn.leaky_relu(Conv(5, name="three")(nn.relu(nn.Conv(4, (1, 1), name="reduce")(x))), 0.1)
    c = nn.relu6(nn.Conv(3, (1, 1), name="pooled")(nn.max_pool(x, (3, 3), padding="SAME")))
    return nn.relu(Conv(6, name="next")(jnp.concatenate([a, b, c], -1)))


def unet(x):
    """A path around the narrow part, on which an image joins features of the same size."""
    around = nn.relu(Conv(4, name="first")(x))
    y = nn.relu(Conv(6, name="inner")(around))
    y = jnp.concatenate([around, y, x], -1)
    return nn.relu(nn.Conv(5, (3, 2), (2, 1), name="last")(y))


def image_and_features(x):
    return depthwise(jnp.concatenate([x, nn.relu(Conv(5, name="conv")(x))], -1), (3, 3), (2, 1))


def image_behind_features(x):
    return depthwise(jnp.concatenate([nn.relu(Conv(5, name="conv")(x)), x], -1))


def pools_of_joined(x):
    x = jnp.concatenate([Conv(3, name="a")(x), nn.relu(Conv(4, name="b")(x))], -1)
    return nn.max_pool(x, (2, 2), (2, 2)) + nn.avg_pool(x, (2, 2), (2, 2))


def joined_twice(x):
    """The same array twice, and one that is read elsewhere too."""
    a = nn.relu(Conv(4, name="a")(x))
    x = jnp.concatenate([a, a * 2 - 1, a], -1)
    return nn.Conv(4, (1, 1), name="next")(x) + a


def joined_vectors(x):
    """The mean over positions beside all entries of a map."""
    x = nn.relu(Conv(4, name="conv")(x))
    y = nn.max_pool(x, (3, 2), (3, 2))
    x = jnp.concatenate([x.mean((1, 2)), y.reshape(len(x), -1), y.transpose(0, 3, 1, 2).reshape(len(x), -1)], -1)
    return nn.relu(nn.Dense(5, name="dense")(x))


def residual_of_joined(x):
    """A convolution whose outputs are added to joined arrays makes the channels of both."""
    x = nn.relu(Conv(4, name="stem")(x))
    y = jnp.concatenate([x, nn.relu(Conv(5, name="other")(x))], -1)
    return nn.relu(y + Conv(9, name="both")(y))


def grouped(x):
    x = nn.relu(Conv(8, name="stem")(x))
    x = nn.relu(nn.Conv(12, (3, 3), feature_group_count=4, name="grouped")(x))
    return nn.Conv(6, (1, 1), name="next")(x)


def shuffled(x):
    """Two grouped convolutions with a shuffle between them: every group loses the same channels."""
    x = nn.relu(Conv(8, name="stem")(x))
    x = nn.relu(nn.Conv(8, (1, 1), feature_group_count=2, name="first")(x))
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, c // 2).swapaxes(3, 4).reshape(n, h, w, c)
    x = depthwise(x)
    return nn.Conv(8, (1, 1), feature_group_count=2, name="second")(x)


def multiplied(x):
    x = nn.relu(Conv(4, name="stem")(x))
    x = nn.relu(nn.Conv(12, (3, 3), (2, 1), feature_group_count=4, name="multiplied")(x))
    return nn.Conv(5, (1, 1), name="next")(x)


def multiplied_joined(x):
    """A multiplier behind joined arrays: the groups that stay are the first of each."""
    x = jnp.concatenate([nn.relu(Conv(4, name="a")(x)), Conv(5, name="b")(x)], -1)
    return nn.relu(nn.Conv(18, (3, 2), feature_group_count=9, name="multiplied")(x))


def multiplied_image(x):
    return nn.relu(nn.Conv(6, (3, 3), feature_group_count=3, name="multiplied")(x))


def dilated(x):
    """Atrous pyramid: convolutions of several dilations side by side, and a residual around a depthwise one."""
    x = nn.relu(Conv(5, name="stem")(x))
    parts = [nn.relu(Conv(3, kernel_dilation=d, name=f"rate_{d}")(x)) for d in (1, 2, 4)]
    x = Conv(6, kernel_dilation=(2, 1), name="join")(jnp.concatenate(parts, -1))
    return nn.relu(x + depthwise(x, (3, 3), kernel_dilation=(1, 3)))


def dilated_once(x):
    x = nn.relu(Conv(6, kernel_dilation=(2, 1), name="conv")(x))
    return nn.relu(depthwise(jnp.concatenate([x, nn.Conv(3, (1, 1), name="other")(x)], -1), (3, 3), kernel_dilation=(1, 3)))


def temporal(x):
    """Causal convolutions along the rows, each with twice the dilation: zeros in front, then a window that sees the past."""
    x = nn.relu(nn.Conv(5, (1, 1), name="stem")(x))
    for i in range(3):
        past = jnp.pad(x, ((0, 0), (2 * 2**i, 0), (0, 0), (0, 0)))
        x = nn.relu(x + nn.Conv(5, (3, 1), padding="VALID", kernel_dilation=(2**i, 1), name=f"layer_{i}")(past))
    return x


def padded(x):
    """As Keras models do: a border of zeros, then windows without padding."""
    x = nn.relu(nn.Conv(5, (3, 3), (2, 2), "VALID", name="conv")(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))))
    x = nn.max_pool(jnp.pad(x - 1, ((0, 0), (1, 0), (0, 1), (0, 0))), (2, 2), (1, 1))
    x = depthwise(jnp.pad(x, ((0, 0), (0, 1), (1, 1), (0, 0))), (2, 3), (1, 1), padding="VALID")
    return nn.relu(jnp.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0))))


def averages_over_padding(x):
    x = nn.relu(Conv(5, name="conv")(x))
    return nn.avg_pool(x, (3, 3), (2, 1), "SAME") + nn.avg_pool(x, (3, 2), (2, 1), ((1, 1), (1, 0)))


def padded_wider_than_the_window(x):
    return nn.Conv(4, (2, 2), padding="VALID", name="conv")(jnp.pad(x, ((0, 0), (2, 1), (0, 3), (0, 0))))


def joined_norms(x):
    x = jnp.concatenate([Conv(3, use_bias=False, name="a")(x), nn.relu(Conv(4, name="b")(x))], -1)
    return nn.relu(Norm(name="norm")(x))


def grouped_of_joined(x):
    """Each group reads one of the joined arrays."""
    x = jnp.concatenate([nn.relu(Conv(4, name="a")(x)), nn.relu(Conv(4, name="b")(x))], -1)
    return nn.Conv(6, (3, 3), feature_group_count=2, name="grouped")(x)


def scaled_joined(x):
    scale = np.float32([1, 2, 3, 4, 5, 6, 7])
    return nn.leaky_relu(jnp.concatenate([nn.Conv(3, (1, 1), name="a")(x), Conv(4, name="b")(x) * scale[:4]], -1), 0.2)


QUICK = [joined_again, unet, joined_vectors, residual_of_joined, multiplied_joined, shuffled, dilated_once, padded]
OTHERS = [averages_over_padding, densenet, inception, image_and_features, image_behind_features, pools_of_joined,
          joined_twice, joined_norms, scaled_joined, grouped, multiplied, multiplied_image, dilated, temporal,
          padded_wider_than_the_window, grouped_of_joined]
EVERY = {body.__name__: body for body in (*QUICK, *OTHERS)}
