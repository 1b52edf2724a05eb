package org.dlakeras.demo

import java.nio.ByteBuffer

/**
 * A camera's frame: three planes with strides, as YUV_420_888 gives them.
 *
 * Colours are JFIF's, as Android cameras say they are: BT.601, full range.
 */
class Frame(
    val width: Int,
    val height: Int,
    val y: ByteBuffer,
    val u: ByteBuffer,
    val v: ByteBuffer,
    val rowStride: Int,
    val chromaRowStride: Int,
    val chromaPixelStride: Int,
)

/** How a sensor's frame is turned to stand upright before the reader. */
data class Turn(val degrees: Int, val mirrored: Boolean) {
    /** Whether width and height change places. */
    val swaps: Boolean get() = degrees % 180 != 0
}

// Pillow's tables, so that a colour is the same as in Python: 64ths.
private fun table(factor: Double) = IntArray(256) { (factor * 64 * (it - 128) + 0.5).toInt() }

private val RED_OF_CR = table(1.402)
private val GREEN_OF_CB = table(-0.34414)
private val GREEN_OF_CR = table(-0.71414)
private val BLUE_OF_CB = table(1.772)

private fun clip(level: Int) = if (level < 0) 0 else if (level > 255) 255 else level

/**
 * Writes a frame as upright RGB, row after row.
 *
 * @param rgb holds 3 bytes for each pixel of the frame
 */
fun toUprightRgb(frame: Frame, turn: Turn, rgb: ByteArray) {
    val width = if (turn.swaps) frame.height else frame.width
    val height = if (turn.swaps) frame.width else frame.height
    var at = 0
    for (row in 0 until height) {
        for (step in 0 until width) {
            val column = if (turn.mirrored) width - 1 - step else step
            val x: Int
            val y: Int
            when (turn.degrees) {
                0 -> { x = column; y = row }
                90 -> { x = row; y = width - 1 - column }
                180 -> { x = width - 1 - column; y = height - 1 - row }
                else -> { x = height - 1 - row; y = column }
            }
            val light = frame.y.get(y * frame.rowStride + x).toInt() and 0xff
            val chroma = (y shr 1) * frame.chromaRowStride + (x shr 1) * frame.chromaPixelStride
            val cb = frame.u.get(chroma).toInt() and 0xff
            val cr = frame.v.get(chroma).toInt() and 0xff
            rgb[at++] = clip(light + (RED_OF_CR[cr] shr 6)).toByte()
            rgb[at++] = clip(light + ((GREEN_OF_CB[cb] + GREEN_OF_CR[cr]) shr 6)).toByte()
            rgb[at++] = clip(light + (BLUE_OF_CB[cb] shr 6)).toByte()
        }
    }
}
