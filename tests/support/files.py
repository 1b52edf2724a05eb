"""`.tflite` files of models in memory, as converted and edited."""

from dla_keras.lite.convert.pipeline import Exporter


def convert(
    model, size, precision="float32", head="mask", calibration=(), **options
):
    """Return a file that says nothing of itself yet."""
    exporter = Exporter(model, size, head, calibration, **options)
    return exporter.convert(precision).pack()
