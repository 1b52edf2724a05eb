package org.dlakeras.demo

import java.io.Closeable
import java.nio.ByteBuffer

/** What took how long, ms. */
data class Timing(val prepare: Double, val infer: Double, val mask: Double)

/** A picture and what a network says about it. Frames reuse the arrays. */
class Result(
    val width: Int,
    val height: Int,
    val picture: IntArray, // 0xAARRGGBB
    val box: Box, // where the answer lies in it
    val maskWidth: Int,
    val maskHeight: Int,
    val mask: ByteArray?, // class ids
    val overlay: IntArray, // 0xAARRGGBB, of the mask's size
    val shares: FloatArray, // of classes; a classifier's probabilities
    val timing: Timing,
    val found: List<Found>? = null, // a detector's, the surest first
)

/** A model with all that it needs: from a picture to a [Result]. */
class Segmenter(val facts: ModelFacts, bytes: ByteBuffer, threads: Int, open: OpenEngine) :
    Closeable {
    private val engine = open(bytes, threads)
    private val palette = palette(facts.classes)
    private val input = ByteArray(3 * facts.height * facts.width)
    private val small = ByteArray(facts.height * facts.width)
    private val boundary = FloatArray(if (facts.boundary == null) 0 else small.size)
    private val probabilities =
        FloatArray(if (facts.probabilities == null) 0 else facts.classes.size)
    private var live: Buffers? = null

    /** What frames of one size share. */
    private inner class Buffers(val width: Int, val height: Int) {
        val fit = if (facts.probabilities == null) {
            CropFit(width, height, facts)
        } else {
            CentralCrop(width, height, facts)
        }
        val rgb = ByteArray(3 * width * height)
        val picture = IntArray(width * height)
        val overlay = IntArray(fit.maskWidth * fit.maskHeight)
    }

    init {
        try {
            // The first run is slow, and the one that may fail: not the reader's.
            engine.run(input)
        } catch (error: Throwable) {
            engine.close()
            throw error
        }
    }

    /** A camera's frame: cropped to the network's proportions. */
    fun segment(frame: Frame, turn: Turn): Result {
        val width = if (turn.swaps) frame.height else frame.width
        val height = if (turn.swaps) frame.width else frame.height
        val buffers = live?.takeIf { it.width == width && it.height == height }
            ?: Buffers(width, height).also { live = it }
        return answer(width, height, buffers.fit, buffers.picture, buffers.overlay) {
            toUprightRgb(frame, turn, buffers.rgb)
            toArgb(buffers.rgb, buffers.picture)
            buffers.rgb
        }
    }

    /** A still picture of any size: the same answer as Python's. */
    fun segment(picture: IntArray, width: Int, height: Int): Result {
        val fit = if (facts.probabilities == null) {
            PictureFit(width, height, facts)
        } else {
            CentralCrop(width, height, facts)
        }
        val overlay = IntArray(fit.maskWidth * fit.maskHeight)
        return answer(width, height, fit, picture, overlay) {
            ByteArray(3 * picture.size).also { toRgb(picture, it) }
        }
    }

    private fun answer(
        width: Int, height: Int, fit: Fit, picture: IntArray, overlay: IntArray,
        rgb: () -> ByteArray,
    ): Result {
        val start = System.nanoTime()
        fit.fit(rgb(), input)
        val prepared = System.nanoTime()
        engine.run(input)
        val inferred = System.nanoTime()
        overlay.fill(0)
        val mask = facts.pixels?.let {
            readMask(it, engine.output(it.index), facts.classes.size, small)
            fit.unfit(small).also { mask -> paint(mask, palette, overlay) }
        }
        facts.boundary?.let {
            readNumbers(it, engine.output(it.index), boundary)
            if (overlay.size == boundary.size) {
                paintBoundaries(boundary, overlay)
            } else {
                paintBoundaries(enlarged(boundary, fit), overlay)
            }
        }
        facts.probabilities?.let {
            readNumbers(it, engine.output(it.index), probabilities)
        }
        val found = if (facts.detects) readBoxes(facts, engine, fit) else null
        val shares = mask?.let { classShares(it, facts.classes.size) } ?: probabilities.copyOf()
        val timing = Timing(
            (prepared - start) / 1e6, (inferred - prepared) / 1e6,
            (System.nanoTime() - inferred) / 1e6,
        )
        return Result(
            width, height, picture, fit.box, fit.maskWidth, fit.maskHeight, mask, overlay,
            shares, timing, found,
        )
    }

    /** Boundaries of a still picture, brought to its size as its mask is. */
    private fun enlarged(numbers: FloatArray, fit: Fit): FloatArray {
        val bytes = ByteArray(numbers.size) { (numbers[it].coerceIn(0f, 1f) * 255).toInt().toByte() }
        val levels = fit.unfit(bytes)
        return FloatArray(levels.size) { (levels[it].toInt() and 0xff) / 255f }
    }

    override fun close() = engine.close()
}
