"""The compiled training step, the same on one device and on many replicas.

Keras' `fit` counts ignored pixels, clips gradients and detects overflow for
each replica on its own; here it is done for all of them together.
"""

import keras
import tensorflow as tf

SUM = tf.distribute.ReduceOp.SUM


def make_train_steps(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss_sums,
    average=None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    jit: bool = False,
    teacher=None,
):
    """Compile training: global batches in, their losses out.

    For any number of replicas and microbatches, the gradient is that of the
    mean loss over everything valid in the global batch.

    Args:
        strategy: Strategy in whose scope `model` and `optimizer` were made.
        model: Model that returns logits.
        optimizer: Optimizer, built on the model's weights.
        loss_sums: Function `(labels, logits)` -> sum of the losses, and of
            their weights.
        average: `WeightAverage` to keep up to date. Defaults to `None`.
        accumulate: Microbatches that each replica's batch is cut into, one
            after the other, to save memory. Defaults to `1`.
        clip_norm: Largest norm of the gradient of all replicas together.
            Defaults to `None`: no limit.
        jit: Whether to compile the network with XLA. Defaults to `False`.
        teacher: Function of images; `loss_sums` then gets a pair in place of
            the labels, labels and what it returns. Defaults to `None`.

    Returns:
        A function of an iterator of global batches and a number of steps. It
        takes the steps and returns the loss before each of them, `(steps,)`.

    Raises:
        ValueError: If XLA is to be used on several replicas.
    """
    replicas = strategy.num_replicas_in_sync
    variables = model.trainable_variables
    dtype = variables[0].dtype
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    differentiate = _make_differentiation(
        model, loss_sums, replicas, jit, teacher
    )

    # Only the loop over steps needs converting; the rest only took longer.
    @tf.autograph.experimental.do_not_convert
    def replica_step(images, labels):
        context = tf.distribute.get_replica_context()
        # The true divisor is known only after the last microbatch. This one
        # keeps the values at the size of a mean until then, for float16.
        count = tf.cast(tf.size(labels), dtype)
        scale = optimizer.dynamic_scale.value if scales else 1.0
        gradients, loss, weight = _accumulated(
            differentiate, images, labels, scale / count, accumulate
        )
        weight = context.all_reduce(SUM, weight)
        # In a batch without a valid pixel, or without an object, it is 0; the
        # loss of its background is then a sum.
        mean = 1 / tf.maximum(weight, 1.0)
        gradients = [g * (mean * count) for g in gradients]
        if clip_norm or scales:
            gradients = context.all_reduce(SUM, gradients)
            gradients = _share(gradients, replicas, clip_norm, scale)
        optimizer.apply(gradients, variables)
        if average is not None:
            average.update(optimizer.iterations)
        return loss * mean

    @tf.function
    def train_steps(batches, count):
        losses = tf.TensorArray(dtype, count)
        for index in tf.range(count):
            shares = strategy.run(replica_step, args=next(batches))
            loss = strategy.reduce(SUM, shares, axis=None)
            losses = losses.write(index, loss)
        return losses.stack()

    return train_steps


def _share(gradients, replicas, clip_norm, scale):
    """Return a replica's share of the whole gradient, clipped.

    The optimizer sums over replicas again, but the norm and an overflow of
    float16 must be those of all replicas together.
    """
    gradients = [g / replicas for g in gradients]
    if not clip_norm:
        return gradients
    limit = clip_norm * scale / replicas
    return tf.clip_by_global_norm(gradients, limit)[0]


def _make_differentiation(model, loss_sums, replicas, jit, teacher):
    """Return a function that gives gradients, loss sum and sum of weights."""
    if jit and replicas > 1:
        raise ValueError(
            "XLA cannot compile a network whose batch norms wait for other "
            f"replicas. Received: --jit with {replicas} replicas; pass "
            "--strategy one_device, or leave --jit out."
        )

    def differentiate(images, labels, scale):
        weights = [v.value for v in model.trainable_variables]
        if teacher is not None:
            labels = labels, teacher(images)
        with tf.GradientTape() as tape:
            loss, weight = loss_sums(labels, model(images, training=True))
            scaled = loss * scale
        return tape.gradient(scaled, weights), loss, weight

    # Compiled on its own only for XLA: replicas could not reduce inside it.
    return (
        tf.function(differentiate, jit_compile=True) if jit else differentiate
    )


def _accumulated(differentiate, images, labels, scale, parts):
    """Return gradients, loss and weight, summed over microbatches in turn."""
    total = None
    for index in range(parts):
        # Strided, so that batch norm sees the same images together on any
        # number of replicas.
        part, part_labels = images[index::parts], labels[index::parts]
        if total is None:
            total = differentiate(part, part_labels, scale)
            continue
        # Otherwise TensorFlow runs the parts at the same time, in as much
        # memory as the whole batch.
        with tf.control_dependencies(tf.nest.flatten(total)):
            part = tf.identity(part)
        sums = differentiate(part, part_labels, scale)
        total = tf.nest.map_structure(tf.add, total, sums)
    return total
