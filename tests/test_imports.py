"""What `import dla_keras` brings at once, and what when it is first used."""

import ast
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from paths import ROOT

import dla_keras


def run_fresh(code):
    """Run lines in a process of their own; return its two outputs."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """Path of a saved segmenter, and the sum of its logits on grey."""
    model = dla_keras.DLASegmenter("dla46_c", 3)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    total = float(np.sum(np.abs(model(np.full((1, 32, 32, 3), 99.0)))))
    return path, total


@pytest.mark.parametrize(
    "imports",
    [
        "import keras, dla_keras",
        "import dla_keras, tensorflow, keras",
        "import dla_keras.data.pipeline, keras",
        "import dla_keras.layers.blocks, keras",
        "import importlib.util; import dla_keras;"
        "importlib.util.find_spec('keras'); import keras",
    ],
)
def test_a_model_file_opens_after_any_imports(imports, model_file):
    path, total = model_file
    code = f"""
{imports}
import numpy as np
model = keras.models.load_model({str(path)!r})
print(float(np.sum(np.abs(model(np.full((1, 32, 32, 3), 99.0))))))
"""
    out, err = run_fresh(code)
    assert float(out) == pytest.approx(total, rel=1e-5)
    # TensorFlow greets those only who import it, or Keras, themselves first.
    assert err == "" or imports.startswith("import keras")


def test_nothing_heavy_is_imported_before_it_is_used():
    code = """
import sys, dla_keras
dla_keras.VARIANTS, dir(dla_keras), dla_keras.__version__
print(sorted({"keras", "tensorflow", "numpy"} & set(sys.modules)))
"""
    assert run_fresh(code)[0] == "[]"


def test_type_checkers_see_every_name():
    tree = ast.parse(pathlib.Path(dla_keras.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        node.names[0].asname: node.module.removeprefix("dla_keras.")
        for node in block.body
    }
    assert seen == dla_keras._HOMES
    assert set(dir(dla_keras)) >= {*dla_keras.__all__, "layers", "models"}
    assert dla_keras.layers.Tree.__module__ == "dla_keras.layers.hierarchical"
    with pytest.raises(AttributeError, match="no attribute 'DLA35'"):
        _ = dla_keras.DLA35
