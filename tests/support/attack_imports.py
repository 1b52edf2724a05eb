"""What all commands import, so that a process begins with it."""

import tensorflow_datasets  # noqa: F401

import dla_keras.commands.benchmark  # noqa: F401
import dla_keras.commands.check  # noqa: F401
import dla_keras.commands.demo  # noqa: F401
import dla_keras.commands.export_saved_model  # noqa: F401
import dla_keras.commands.predict  # noqa: F401
import dla_keras.commands.quantize  # noqa: F401
import dla_keras.commands.train  # noqa: F401
import dla_keras.data.checks  # noqa: F401
import dla_keras.engine.assembly  # noqa: F401
import dla_keras.lite.compress.fine_tuning  # noqa: F401
import dla_keras.lite.convert.pipeline  # noqa: F401
import dla_keras.lite.measure.comparison  # noqa: F401
import dla_keras.report.dataset_page  # noqa: F401
import dla_keras.report.page  # noqa: F401
import dla_keras.tasks.evaluation  # noqa: F401
import dla_keras.weights.transfer  # noqa: F401
