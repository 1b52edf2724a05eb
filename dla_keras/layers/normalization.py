"""The models' first layer: from pixels to what their weights expect."""

from keras import layers


def pixel_normalization(mean, std, **kwargs):
    """A layer that turns pixels of 0 to 255 into normalised ones.

    Args:
        mean: RGB mean for pixels scaled to 0..1.
        std: RGB standard deviation, likewise.
        **kwargs: of `keras.layers.Rescaling`, for instance `dtype`.

    Example:

    >>> layer = pixel_normalization((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    >>> np.round(layer(np.array([[0.0, 127.5, 255.0]])), 3).tolist()
    [[-2.0, 0.0, 2.0]]
    """
    return layers.Rescaling(
        scale=[1 / (255 * s) for s in std],
        offset=[-m / s for m, s in zip(mean, std, strict=True)],
        name="normalize",
        **kwargs,
    )
