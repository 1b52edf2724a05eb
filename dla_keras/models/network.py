"""What all models share: their facts, their config, what of them trains."""

import inspect
from collections.abc import Sequence

import keras
import numpy as np

from dla_keras.choices import did_you_mean
from dla_keras.layers.composite import set_trainable_parts
from dla_keras.layers.composite import trainable_parts

ImageShape = Sequence[int | None]  # height, width, channels
DType = str | keras.DTypePolicy | None
# Longest side of a picture, its height and width, or its own size.
WorkingSize = int | Sequence[int] | None


def check_values(model: keras.Model) -> None:
    """Raise `ValueError` for values that no weight can have.

    Args:
        model: Model that came out of a file.

    Raises:
        ValueError: If a weight is not finite, or a variance is below 0.
    """
    for variable in model.variables:
        values = keras.ops.convert_to_numpy(variable.value)
        if values.dtype.kind in "iub":  # states of random generators
            continue
        if not np.isfinite(values.astype("float32")).all():
            raise ValueError(f"{variable.path} is not finite.")
        if variable.path.endswith("moving_variance") and values.min() < 0:
            raise ValueError(f"{variable.path} is a variance below 0.")


def check_network(model, kind: type = keras.Model) -> None:
    """Raise `ValueError` for anything but a model.

    Args:
        model: Argument to check, for instance the path of a model.
        kind: Class that it must be of. Defaults to any model of Keras.
    """
    if not isinstance(model, kind):
        raise ValueError(
            f"`model` is a {kind.__name__} in memory. Received: "
            f"{model!r:.100}; `dla_keras.load(path).file.model` is that of a "
            "file."
        )


class Network(keras.Model):
    """A functional model whose config says which of its parts are frozen.

    Args:
        inputs: Placeholder of the images.
        outputs: Symbolic outputs.
        name: Name of the model, or `None` for one made from the class's.
        trainable: Whether training changes the weights.

    Attributes:
        tasks: Names of the tasks that the outputs are for, in their order.
        num_classes: Number of the classes, or `None`.
        class_names: Names of the classes, or `None`.
        palette: RGB colors of the classes, or `None`.
        image_shape: `(height, width, 3)`, with `None` for a side of any size.
        working_size: Longest side that pictures are shrunk to, height and
            width that they are stretched to, or `None`.
    """

    tasks: tuple[str, ...] = ()
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    image_shape: tuple[int | None, ...] = (None, None, 3)
    working_size: int | tuple[int, int] | None = None

    def __init__(self, inputs, outputs, name, trainable):
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self._parts_at_first = tuple(trainable_parts(self).items())
        if not trainable:
            # Keras would set this before it knows the layers, which then train.
            self.trainable = False

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        parts = config.pop("trainable_parts", None)
        model = super().from_config(config, custom_objects)
        if parts is not None:
            set_trainable_parts(model, parts)
        return model

    def get_config(self):
        config = {
            "name": self.name,
            "trainable": self.trainable,
            # A functional model's own policy is not the one of its layers.
            "dtype": keras.dtype_policies.serialize(
                self.layers[1].dtype_policy
            ),
        }
        parts = trainable_parts(self)
        if parts != (dict(self._parts_at_first) if self.trainable else {}):
            config["trainable_parts"] = parts
        return config

    def _check_changes(self, changes):
        """Raise `ValueError` for an argument that the constructor lacks."""
        known = inspect.signature(type(self)).parameters
        strange = [name for name in changes if name not in known]
        if strange:
            raise ValueError(
                f"with_head takes the arguments of {type(self).__name__}: "
                f"{', '.join(known)}. Received: {strange[0]}."
                f"{did_you_mean(strange[0], known)}"
            )

    def _rebuilt(self, heads, changes):
        """Return a model with other arguments and the same parts frozen.

        A head that starts anew trains, unless the whole model is frozen.

        Args:
            heads: Names of the layers that start anew.
            changes: Constructor arguments that change.
        """
        config = {**self.get_config(), **changes}
        parts = config.pop("trainable_parts", None)
        model = type(self).from_config(config)
        if parts is not None:
            known = {layer.name for layer in self._flatten_layers()}
            new = trainable_parts(model)
            set_trainable_parts(
                model,
                {n: new[n] for n in new if n not in known}
                | {n: parts[n] for n in parts if n not in heads},
            )
        return model
