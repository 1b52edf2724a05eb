"""Boxes by centers: the numbers of CenterNet's code, and what it lacks."""

import keras
import numpy as np
import pytest
import reference
from paths import GOLDEN

from dla_keras.models import centers
from dla_keras.models.detector import DLADetector
from dla_keras.weights import load_torch_state
from dla_keras.weights import torch_state

OUTPUTS = np.load(GOLDEN / "centernet.npz")
PARTS = {k[6:]: v for k, v in OUTPUTS.items() if k.startswith("parts/")}
AS_IT_IS = {"mean": (0, 0, 0), "std": (1 / 255,) * 3}


def nhwc(maps, turn=False):
    """Return the reference's maps as here, x and y exchanged on request."""
    return maps.transpose(0, 2, 3, 1)[..., :: -1 if turn else 1]


def parts():
    """Return the random maps as a detector's outputs."""
    heat, size, offset = (PARTS[name] for name in ("hm", "wh", "reg"))
    maps = nhwc(heat), nhwc(size, True), nhwc(offset, True)
    return dict(zip(("heat", "size", "offset"), maps, strict=True))


def test_the_network_equals_the_reference():
    model = DLADetector("dla34", 80, upsampling="learned", **AS_IT_IS)
    state = reference.state_dict("centernet/dla34")
    load_torch_state(model, state)
    maps = model(reference.image(128, 160), training=False)
    maps = {n: keras.ops.convert_to_numpy(x) for n, x in maps.items()}
    for received, expected in (
        (maps["heat"][..., :5], nhwc(OUTPUTS["hm_first5"])),
        (maps["heat"].mean((1, 2)), OUTPUTS["hm_channel_mean"]),
        (maps["size"], nhwc(OUTPUTS["wh"], True)),
        (maps["offset"], nhwc(OUTPUTS["reg"], True)),
    ):
        # Sums in another order; measured: 4e-6 of the largest.
        error = np.abs(received - expected).max() / np.abs(expected).max()
        assert error < 1e-5
    # And back, x before y again.
    for name, array in torch_state(model).items():
        np.testing.assert_array_equal(array, state[name])


def test_decoding_equals_the_reference():
    found = centers.decode(parts(), 40)
    found = {n: keras.ops.convert_to_numpy(x) for n, x in found.items()}
    x0, y0, x1, y1, score, kind = np.moveaxis(PARTS["det"], -1, 0)
    np.testing.assert_allclose(found["scores"], score, atol=1e-6)
    np.testing.assert_array_equal(found["classes"], kind)
    boxes = np.stack([y0, x0, y1, x1], -1)
    np.testing.assert_allclose(found["boxes"], boxes, rtol=1e-6, atol=1e-5)


def test_targets_and_losses_equal_the_reference():
    maps = parts()
    targets = centers.center_targets(PARTS["boxes"], 32, 48, 5, 4)
    heat = keras.ops.convert_to_numpy(targets.heat)
    np.testing.assert_allclose(heat, nhwc(PARTS["heat"]), atol=1e-6)
    focal, size, offset = PARTS["losses"]
    count = float(keras.ops.sum(targets.valid))
    both = 2 * count + 1e-4  # coordinates; the rest is the reference's own
    for received, expected in (
        (centers.focal_sum(maps["heat"], targets) / count, focal),
        (
            centers.distance_sum(maps["size"], targets.size, targets),
            size * both,
        ),
        (
            centers.distance_sum(maps["offset"], targets.offset, targets),
            offset * both,
        ),
    ):
        np.testing.assert_allclose(float(received), expected, rtol=1e-6)
    loss, weight = centers.center_sums(PARTS["boxes"], maps, 4)
    whole = focal + (0.1 * size + offset) * both / (2 * count)
    np.testing.assert_allclose(float(loss / weight), whole, rtol=1e-6)
    # Sums: two images are the first and the second.
    one, two = (
        centers.center_sums(
            PARTS["boxes"][i : i + 1],
            {n: m[i : i + 1] for n, m in maps.items()},
            4,
        )
        for i in (0, 1)
    )
    assert float(one[1] + two[1]) == float(weight)
    np.testing.assert_allclose(float(one[0] + two[0]), float(loss), rtol=1e-6)


def test_a_plateau_is_one_object():
    heat = np.full((1, 16, 16, 1), -5, "float32")
    heat[0, 4:7, 5:8] = 1  # equal neighbors
    heat[0, 12, 12] = heat[0, 12, 13] = 0
    maps = {"heat": heat, "size": np.ones((1, 16, 16, 2), "float32")}
    maps["offset"] = np.full((1, 16, 16, 2), 0.5, "float32")
    found = centers.decode(maps, 50)
    scores = keras.ops.convert_to_numpy(found["scores"])[0]
    assert (scores > 0.1).sum() == 2
    first = keras.ops.convert_to_numpy(found["boxes"])[0, 0]
    np.testing.assert_allclose(first, [5, 6, 6, 7])  # its middle


def test_what_is_ignored_is_no_background():
    away = np.float32([[[0, 8, 8, 24, 24], [-1, 0, 0, 0, 0]]])
    hidden = away.copy()
    hidden[0, 1] = [centers.ignored(1), 32, 32, 60, 60]
    maps = {"heat": np.zeros((1, 16, 16, 2), "float32")}
    maps |= {n: np.zeros((1, 16, 16, 2), "float32") for n in ("size", "offset")}
    loss, count = centers.center_sums(away, maps, 4)
    less, same = centers.center_sums(hidden, maps, 4)
    assert float(count) == float(same) == 1
    # 7 x 7 cells of class 1 alone, each log 2 times a quarter.
    np.testing.assert_allclose(
        float(loss - less), 49 * np.log(2) / 4, rtol=1e-4
    )
    empty = np.full((1, 2, 5), -1, "float32")
    loss, count = centers.center_sums(empty, maps, 4)
    assert float(count) == 0 and np.isfinite(float(loss))


def test_a_detector_is_saved_whole(tmp_path):
    model = DLADetector(
        "dla46_c", 3, head_filters=32, class_names=["a", "b", "c"]
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    assert again.tasks == ("detection",) and again.class_names == tuple("abc")
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3))
    for name, x in model(image).items():
        np.testing.assert_array_equal(again(image)[name], x)
    with pytest.raises(ValueError, match="`num_classes` is a whole number"):
        DLADetector("dla46_c", 0)


def test_half_precision_ends_in_float32():
    model = DLADetector("dla46_c", 3, head_filters=32, dtype="mixed_bfloat16")
    for x in model(np.zeros((1, 32, 32, 3))).values():
        assert keras.backend.standardize_dtype(x.dtype) == "float32"
