package org.dlakeras.demo

/** A part of a picture, pixels. */
data class Box(val left: Int, val top: Int, val width: Int, val height: Int)

/**
 * The largest middle part of a live frame with the network's proportions: a
 * frame is cropped, never squashed. The web page has the same rule.
 */
fun cropTo(width: Int, height: Int, toWidth: Int, toHeight: Int): Box {
    // Rounded halves up, in whole numbers, so that both demos agree.
    val wide = width.toLong() * toHeight > height.toLong() * toWidth
    val cropWidth =
        if (wide) ((2L * height * toWidth + toHeight) / (2L * toHeight)).toInt() else width
    val cropHeight =
        if (wide) height else ((2L * width * toHeight + toWidth) / (2L * toWidth)).toInt()
    return Box(
        (width - cropWidth) / 2, (height - cropHeight) / 2,
        maxOf(cropWidth, 1), maxOf(cropHeight, 1),
    )
}

/**
 * The camera's size to ask for: the smallest whose upright crop has all the
 * pixels that the network takes, else the largest.
 *
 * @param sizes width and height of what the sensor gives
 * @param swaps whether its frames are turned by a quarter
 */
fun chooseSize(
    sizes: List<Pair<Int, Int>>, networkWidth: Int, networkHeight: Int, swaps: Boolean,
): Pair<Int, Int>? {
    fun area(size: Pair<Int, Int>) = size.first.toLong() * size.second
    val enough = sizes.filter { (first, second) ->
        val (width, height) = if (swaps) second to first else first to second
        val crop = cropTo(width, height, networkWidth, networkHeight)
        crop.width >= networkWidth && crop.height >= networkHeight
    }
    return enough.minByOrNull(::area) ?: sizes.maxByOrNull(::area)
}

/** Brings RGB of one size to what a network takes, and its answer back. */
interface Fit {
    /** Where the network's answer lies in the picture. */
    val box: Box

    /** Width and height that [box] has in the network. */
    val content: Pair<Int, Int>

    fun fit(rgb: ByteArray, input: ByteArray)

    /** A mask of the network's size, as one of [box]'s size; or as it is. */
    fun unfit(mask: ByteArray): ByteArray

    val maskWidth: Int
    val maskHeight: Int
}

/** Resizes a part of a picture; the mask stays as large as the network's. */
class CropFit(width: Int, height: Int, facts: ModelFacts) : Fit {
    override val box = cropTo(width, height, facts.width, facts.height)
    override val content = Pair(facts.width, facts.height)
    override val maskWidth = facts.width
    override val maskHeight = facts.height
    private val resampler = Resampler(box.height, box.width, facts.height, facts.width)
    private val stride = 3 * width

    override fun fit(rgb: ByteArray, input: ByteArray) =
        resampler.resize(rgb, box.top * stride + 3 * box.left, stride, input)

    override fun unfit(mask: ByteArray) = mask
}

/** What a file may say of pictures of another size than its own. */
val FITS = listOf("pad", "letterbox", "stretch")

/**
 * Width and height that a still picture has in the network; the rest is border.
 * It is `Fit.content` of `dla_keras/data/fitting.py`, in whole numbers.
 */
fun contentSize(width: Int, height: Int, facts: ModelFacts): Pair<Int, Int> {
    fun inside(size: Pair<Int, Int>) = size.first <= facts.width && size.second <= facts.height
    fun scaled(part: Int, whole: Int): Pair<Int, Int> {
        fun side(length: Int) =
            maxOf(1, ((2L * length * part + whole) / (2L * whole)).toInt())
        return Pair(side(width), side(height))
    }
    val room = Pair(facts.width, facts.height)
    if (facts.fit == "stretch") return room
    if (facts.fit == "pad") return Pair(width, height).takeIf(::inside) ?: room
    val longest = maxOf(width, height)
    val found = scaled(minOf(facts.maxSide ?: longest, longest), longest)
    if (inside(found)) return found
    val tall = facts.height.toLong() * width <= facts.width.toLong() * height
    return if (tall) scaled(facts.height, height) else scaled(facts.width, width)
}

/**
 * Brings a still picture to the network's size by the file's rule, with a
 * border at the bottom and the right, as Python does.
 */
class PictureFit(
    private val width: Int, private val height: Int, private val facts: ModelFacts,
) : Fit {
    override val box = Box(0, 0, width, height)
    override val maskWidth = width
    override val maskHeight = height
    override val content = contentSize(width, height, facts)
    private val resampler = if (content == Pair(width, height)) null else {
        Resampler(height, width, content.second, content.first)
    }

    override fun fit(rgb: ByteArray, input: ByteArray) {
        val (wide, tall) = content
        val inside = resampler?.let { resampler ->
            ByteArray(3 * wide * tall).also { resampler.resize(rgb, 0, 3 * width, it) }
        } ?: rgb
        for (at in input.indices step 3) {
            input[at] = (facts.padColor shr 16).toByte()
            input[at + 1] = (facts.padColor shr 8).toByte()
            input[at + 2] = facts.padColor.toByte()
        }
        for (row in 0 until tall) {
            inside.copyInto(input, 3 * row * facts.width, 3 * row * wide, 3 * (row + 1) * wide)
        }
    }

    override fun unfit(mask: ByteArray): ByteArray {
        val (wide, tall) = content
        val inside = ByteArray(wide * tall)
        for (row in 0 until tall) {
            mask.copyInto(inside, row * wide, row * facts.width, row * facts.width + wide)
        }
        return if (resampler == null) inside else resizeNearest(inside, tall, wide, height, width)
    }
}

/** The middle of a picture, shrunk: what classifiers are tested on. */
class CentralCrop(width: Int, height: Int, private val facts: ModelFacts) : Fit {
    override val box: Box
    override val content = Pair(facts.width, facts.height)
    override val maskWidth = facts.width
    override val maskHeight = facts.height
    private val rows: Int
    private val columns: Int
    private val top: Int
    private val left: Int
    private val resampler: Resampler
    private val shrunk: ByteArray
    private val stride = 3 * width

    init {
        val fraction = facts.cropFraction ?: 0.875 // 224 of 256
        val tall = Math.floor(facts.height / fraction)
        val broad = Math.floor(facts.width / fraction)
        // The side that lacks most of its length decides; the other one follows.
        val byRows = tall / height >= broad / width
        val (target, length) = if (byRows) tall to height else broad to width
        rows = (target * height / length).toInt()
        columns = (target * width / length).toInt()
        top = Math.rint((rows - facts.height) / 2.0).toInt()
        left = Math.rint((columns - facts.width) / 2.0).toInt()
        resampler = Resampler(height, width, rows, columns)
        shrunk = ByteArray(3 * rows * columns)
        box = Box(
            left * width / columns, top * height / rows,
            facts.width * width / columns, facts.height * height / rows,
        )
    }

    override fun fit(rgb: ByteArray, input: ByteArray) {
        resampler.resize(rgb, 0, stride, shrunk)
        for (row in 0 until facts.height) {
            val from = 3 * ((top + row) * columns + left)
            shrunk.copyInto(input, 3 * row * facts.width, from, from + 3 * facts.width)
        }
    }

    override fun unfit(mask: ByteArray) = mask
}
