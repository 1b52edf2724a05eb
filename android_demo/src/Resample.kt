package org.dlakeras.demo

// Pillow's BILINEAR and NEAREST, to the bit: Python's pictures and masks are
// resized by them, and so are the web page's.

// Pillow works on bytes with weights of this many fractional bits.
private const val PRECISION = 32 - 8 - 2

/** For each target pixel the first source pixel and the weights from there. */
private class Taps(size: Int, toSize: Int) {
    val first = IntArray(toSize)
    val factors: Array<IntArray>

    init {
        val scale = size.toDouble() / toSize
        val support = maxOf(scale, 1.0) // of the triangle, each way
        factors = Array(toSize) { i ->
            val center = (i + 0.5) * scale
            first[i] = maxOf((center - support + 0.5).toInt(), 0)
            val end = minOf((center + support + 0.5).toInt(), size)
            val weights = DoubleArray(end - first[i]) { j ->
                val distance = (j + first[i] - center + 0.5) * (1 / support)
                maxOf(0.0, 1 - Math.abs(distance))
            }
            val sum = weights.sum()
            IntArray(weights.size) {
                (weights[it] / sum * (1 shl PRECISION) + 0.5).toInt()
            }
        }
    }
}

/**
 * Resizes RGB pictures of one size to another: shrinks with antialiasing,
 * enlarges bilinearly. Its buffers are made once.
 */
class Resampler(
    private val height: Int, private val width: Int,
    private val toHeight: Int, private val toWidth: Int,
) {
    private val rows = Taps(height, toHeight)
    private val columns = Taps(width, toWidth)

    // The first pass rounds, so the order of both matters.
    private val rowsFirst =
        height - toHeight > 0 && height - toHeight > 2 * (width - toWidth)
    private val between =
        ByteArray(3 * if (rowsFirst) toHeight * width else height * toWidth)

    /**
     * @param source RGB
     * @param offset of its first pixel, bytes
     * @param stride from row to row, bytes: the picture may lie inside another
     * @param target RGB, `toHeight` rows of `toWidth` pixels
     */
    fun resize(source: ByteArray, offset: Int, stride: Int, target: ByteArray) {
        if (rowsFirst) {
            resizeRows(source, offset, stride, width, between)
            resizeColumns(between, 0, 3 * width, toHeight, target)
        } else {
            resizeColumns(source, offset, stride, height, between)
            resizeRows(between, 0, 3 * toWidth, toWidth, target)
        }
    }

    private fun resizeColumns(
        source: ByteArray, offset: Int, stride: Int, height: Int, target: ByteArray,
    ) {
        for (y in 0 until height) {
            for (x in 0 until toWidth) {
                val from = offset + y * stride + 3 * columns.first[x]
                blend(source, from, 3, columns.factors[x], target, 3 * (y * toWidth + x))
            }
        }
    }

    private fun resizeRows(
        source: ByteArray, offset: Int, stride: Int, width: Int, target: ByteArray,
    ) {
        for (y in 0 until toHeight) {
            val from = offset + rows.first[y] * stride
            for (x in 0 until width) {
                blend(source, from + 3 * x, stride, rows.factors[y], target, 3 * (y * width + x))
            }
        }
    }
}

/** The weighted sum of some RGB pixels, `step` bytes apart. */
private fun blend(
    source: ByteArray, start: Int, step: Int, factors: IntArray, target: ByteArray, at: Int,
) {
    var red = 1 shl (PRECISION - 1)
    var green = red
    var blue = red
    var from = start
    for (factor in factors) {
        red += (source[from].toInt() and 0xff) * factor
        green += (source[from + 1].toInt() and 0xff) * factor
        blue += (source[from + 2].toInt() and 0xff) * factor
        from += step
    }
    // Weights are positive and sum to one: no clipping is needed.
    target[at] = (red shr PRECISION).toByte()
    target[at + 1] = (green shr PRECISION).toByte()
    target[at + 2] = (blue shr PRECISION).toByte()
}

/** Resizes a mask without mixing classes. */
fun resizeNearest(
    mask: ByteArray, height: Int, width: Int, toHeight: Int, toWidth: Int,
): ByteArray {
    val columns = nearest(width, toWidth)
    val result = ByteArray(toHeight * toWidth)
    nearest(height, toHeight).forEachIndexed { y, row ->
        for (x in 0 until toWidth) result[y * toWidth + x] = mask[row * width + columns[x]]
    }
    return result
}

/** The source index of each target index, summed up step by step as there. */
private fun nearest(size: Int, toSize: Int): IntArray {
    val step = size.toDouble() / toSize
    var position = step / 2
    return IntArray(toSize) { position.toInt().also { position += step } }
}
