"""Ranges of activations, as the converter's calibration leaves them.

Between a calibrated graph, still in float, and its quantisation: what an
8-bit number will stand for is decided here.
"""

from collections.abc import Iterable

from ai_edge_litert import schema_py_generated as schema

# Operations whose 8-bit inputs and output must stand for the same numbers.
# Where they do not, the quantiser puts a requantisation in between, which
# takes time, rounds once more, and does so differently from one runtime to
# the next.
SAME_SCALE = frozenset(
    {
        schema.BuiltinOperator.AVERAGE_POOL_2D,
        schema.BuiltinOperator.CONCATENATION,
        schema.BuiltinOperator.DEPTH_TO_SPACE,
        schema.BuiltinOperator.MAX_POOL_2D,
        schema.BuiltinOperator.PAD,
        schema.BuiltinOperator.RESIZE_BILINEAR,
    }
)
# A tensor may get steps up to this many times coarser than its own range
# asks for. Beyond, a requantisation loses less.
MAX_COARSENING = 4.0


def share_ranges(
    calibrated: bytes, max_coarsening: float = MAX_COARSENING
) -> bytes:
    """One range for the tensors that a concatenation or a resize ties.

    Args:
        calibrated: a `.tflite` file in float whose activations have ranges.
        max_coarsening: a tensor is left out where its steps would become
            more than this many times coarser. Defaults to `4.0`.

    Returns:
        The same file with some ranges widened.
    """
    data = bytearray(calibrated)
    graph = schema.Model.GetRootAs(data, 0).Subgraphs(0)
    model = schema.Model.GetRootAs(data, 0)
    # Views into `data`: writing to them changes the file.
    bounds = {
        index: (quantization.MinAsNumpy(), quantization.MaxAsNumpy())
        for index in range(graph.TensorsLength())
        if (quantization := graph.Tensors(index).Quantization())
        and quantization.MinLength() == 1
    }
    own = {
        index: (float(a[0]), float(b[0])) for index, (a, b) in bounds.items()
    }
    shared = share(own, _tied_tensors(model, graph, own), max_coarsening)
    for index, (lowest, highest) in bounds.items():
        lowest[0], highest[0] = shared[index]
    return bytes(data)


def share(
    ranges: dict, ties: Iterable, max_coarsening: float = MAX_COARSENING
) -> dict:
    """One range for tensors that are tied, those with most in common first.

    Args:
        ranges: tensor -> lowest and highest value.
        ties: groups of tensors.
        max_coarsening: as in `share_ranges`. Defaults to `4.0`.

    Example:

    >>> share({"a": (0, 4), "b": (0, 3), "c": (0, 90)}, ["ab", "bc"])
    {'a': (0, 4), 'b': (0, 4), 'c': (0, 90)}
    """
    groups = {tensor: frozenset((tensor,)) for tensor in ranges}
    for tied in sorted(ties, key=lambda tied: _coarsening(tied, ranges)):
        group = frozenset().union(*(groups[tensor] for tensor in tied))
        if _coarsening(group, ranges) <= max_coarsening:
            groups |= dict.fromkeys(group, group)
    return {tensor: _union(groups[tensor], ranges) for tensor in ranges}


def _tied_tensors(model, graph, known):
    """For each operation of `SAME_SCALE`, its tensors that have a range."""
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        # Codes above 127 did not fit the first version's field.
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) in SAME_SCALE:
            ends = *operator.InputsAsNumpy(), *operator.OutputsAsNumpy()
            yield [int(end) for end in ends if int(end) in known]


def _union(group, ranges):
    lowest, highest = zip(*(ranges[index] for index in group), strict=True)
    return min(lowest), max(highest)


def _coarsening(group, ranges):
    """How much coarser the steps of the group's narrowest tensor become.

    Zero always has a step of its own, so a range reaches it at least.
    """
    spans = [
        max(highest, 0.0) - min(lowest, 0.0)
        for lowest, highest in (
            *(ranges[index] for index in group),
            _union(group, ranges),
        )
    ]
    narrowest = min(spans)
    return spans[-1] / narrowest if narrowest else float("inf")
