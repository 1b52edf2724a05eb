"""Three steps on N virtual CPUs; writes the weights. Run by test_training.py.

    python tests/replicas.py N FILE

A process of its own: the number of logical devices is fixed once TensorFlow
has started. In float64: from a random start a deep network turns float32's
roundings into percents of the gradient within a step, which would hide a
wrong normalisation as well as show a right one.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import dla_keras
from dla_keras.training_loop import distribute
from dla_keras.training_loop import make_strategy
from dla_keras.training_loop import make_train_step


def main(replicas, path):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * replicas,
    )
    strategy = make_strategy()
    assert strategy.num_replicas_in_sync == replicas
    keras.config.set_floatx("float64")
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = dla_keras.DLASegmenter("dla46_c", 4)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    step = make_train_step(
        strategy, model, optimizer, 1e-3, class_weights=(1.0, 2.0, 0.5, 1.0)
    )
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (12, 32, 64, 3))
    labels = random.integers(0, 4, (12, 32, 64)).astype(np.uint8)
    # Ignored pixels unlike on the replicas, so that normalising per replica
    # would show.
    labels[::4, :25], labels[2::4, :5] = 255, 255
    batches = distribute(
        strategy,
        lambda count: tf.data.Dataset.from_tensor_slices(
            (images, labels)
        ).batch(4 // count),
    )
    losses = [float(step(next(batches))) for _ in range(3)]
    weights = {str(i): v.numpy() for i, v in enumerate(model.variables)}
    np.savez(path, losses=losses, **weights)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
