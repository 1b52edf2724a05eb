"""Random changes of colour, shared by all augmentations."""

import tensorflow as tf

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def jitter_color(image, seed, strength: float, offset=(0.0, 0.0, 0.0)):
    """Random brightness, contrast and saturation, each by `1 +- strength`.

    Brightness scales the pixels, contrast their distance to the picture's
    mean luminance, saturation their distance to their own luminance. All
    three are linear, so one matrix does them in one pass over the pixels.

    Args:
        image: float32 `(height, width, 3)`.
        seed: two integers; equal seeds give equal changes.
        strength: largest relative change, 0 to 1.
        offset: colour that is still to be added to `image`. Defaults to none.

    Returns:
        float32 `(height, width, 3)`, 0 to 255.
    """
    brightness, contrast, saturation = tf.unstack(
        tf.random.stateless_uniform((3,), seed, 1 - strength, 1 + strength)
    )
    offset = tf.convert_to_tensor(offset, tf.float32)
    luminance = tf.constant(LUMINANCE)[:, None]  # (3, 1)
    # Row times matrix: each channel, pulled towards the pixel's luminance.
    matrix = saturation * tf.eye(3) + (1 - saturation) * luminance
    matrix = brightness * contrast * matrix
    pixels = tf.reshape(image, (-1, 3))
    mean = tf.reduce_mean(pixels, 0) + offset
    gray = brightness * tf.tensordot(mean, luminance, 1)  # (1,)
    shift = tf.linalg.matvec(matrix, offset, transpose_a=True)
    shift += (1 - contrast) * gray
    image = tf.reshape(pixels @ matrix + shift, tf.shape(image))
    return tf.clip_by_value(image, 0.0, 255.0)
