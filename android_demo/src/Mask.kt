package org.dlakeras.demo

import java.nio.ByteBuffer

const val OPAQUE = 0xff000000.toInt()
private const val BOUNDARY_COLOR = 0xc80028 // as in Python's overlays

/**
 * Writes the likeliest class of each pixel. Equal scores give the first class,
 * as numpy's argmax does; a quantised output needs no scale for that, as scales
 * are positive.
 */
fun readMask(output: Output, data: ByteBuffer, classes: Int, mask: ByteArray) {
    data.rewind()
    if (output.kind == Kind.MASK) {
        data.get(mask)
        return
    }
    val quantised = output.type == "uint8"
    for (pixel in mask.indices) {
        var best = 0
        var highest = Float.NEGATIVE_INFINITY
        for (id in 0 until classes) {
            val at = pixel * classes + id
            val score =
                if (quantised) (data.get(at).toInt() and 0xff).toFloat() else data.getFloat(4 * at)
            if (score > highest) {
                highest = score
                best = id
            }
        }
        mask[pixel] = best.toByte()
    }
}

/** The numbers of an output of probabilities: of classes, or of boundaries. */
fun readNumbers(output: Output, data: ByteBuffer, numbers: FloatArray) {
    for (at in numbers.indices) {
        numbers[at] = if (output.type == "float32") {
            data.getFloat(4 * at)
        } else {
            ((data.get(at).toInt() and 0xff) - output.zeroPoint) * output.scale.toFloat()
        }
    }
}

/** The share of each class, 0 to 1. */
fun classShares(mask: ByteArray, classes: Int): FloatArray {
    val counts = IntArray(256)
    for (id in mask) counts[id.toInt() and 0xff]++
    return FloatArray(classes) { counts[it].toFloat() / mask.size }
}

/** 0xAARRGGBB of each class id; those beyond the classes are transparent. */
fun palette(classes: List<ClassFacts>) = IntArray(256) { classes.getOrNull(it)?.color ?: 0 }

/** Writes the mask's colours. */
fun paint(mask: ByteArray, palette: IntArray, argb: IntArray) {
    for (at in mask.indices) argb[at] = palette[mask[at].toInt() and 0xff]
}

/** Writes the boundaries' colour over what is there. */
fun paintBoundaries(probabilities: FloatArray, argb: IntArray) {
    for (at in probabilities.indices) {
        val share = probabilities[at].coerceIn(0f, 1f)
        argb[at] = if (argb[at] == 0) {
            ((share * 255 + 0.5f).toInt() shl 24) or BOUNDARY_COLOR
        } else {
            mix(argb[at], OPAQUE or BOUNDARY_COLOR, share)
        }
    }
}

/** A colour between two, as Pillow's `Image.blend` rounds it. */
fun mix(below: Int, above: Int, share: Float): Int {
    fun level(shift: Int): Int {
        val from = (below shr shift) and 0xff
        return (from + share * (((above shr shift) and 0xff) - from)).toInt() shl shift
    }
    return OPAQUE or level(16) or level(8) or level(0)
}

/** Writes RGB bytes as opaque 0xAARRGGBB. */
fun toArgb(rgb: ByteArray, argb: IntArray) {
    for (at in argb.indices) {
        argb[at] = OPAQUE or ((rgb[3 * at].toInt() and 0xff) shl 16) or
            ((rgb[3 * at + 1].toInt() and 0xff) shl 8) or (rgb[3 * at + 2].toInt() and 0xff)
    }
}

/** Writes the three levels of opaque colours as bytes. */
fun toRgb(argb: IntArray, rgb: ByteArray) {
    for (at in argb.indices) {
        rgb[3 * at] = (argb[at] shr 16).toByte()
        rgb[3 * at + 1] = (argb[at] shr 8).toByte()
        rgb[3 * at + 2] = argb[at].toByte()
    }
}

/**
 * A picture with its overlay over it, for a file.
 *
 * @param opacity of the overlay, 0 to 1; its own transparency is kept
 */
fun blend(result: Result, opacity: Float): IntArray {
    val blended = result.picture.copyOf()
    val box = result.box
    for (y in 0 until box.height) {
        for (x in 0 until box.width) {
            val from = y * result.maskHeight / box.height * result.maskWidth +
                x * result.maskWidth / box.width
            val above = result.overlay[from]
            val at = (box.top + y) * result.width + box.left + x
            val alpha = above ushr 24
            val share = if (alpha == 255) opacity else opacity * alpha / 255f
            blended[at] = mix(blended[at], above, share)
        }
    }
    return blended
}
