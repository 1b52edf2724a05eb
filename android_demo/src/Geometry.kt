package org.dlakeras.demo

/**
 * How a sensor's frame is turned to stand upright.
 *
 * @param sensor degrees that its frames are to be turned clockwise while the
 *     phone is held in its own upright position
 * @param display degrees that the screen's content is turned by
 * @param front whether the camera looks at the reader: shown as in a mirror
 */
fun turn(sensor: Int, display: Int, front: Boolean): Turn =
    if (front) Turn((sensor + display) % 360, true)
    else Turn((sensor - display + 360) % 360, false)

/** A picture placed in a view: as large as it fits, in the middle. */
data class Placement(val scale: Float, val left: Float, val top: Float) {
    fun toView(x: Float, y: Float) = Pair(left + scale * x, top + scale * y)

    fun toPicture(x: Float, y: Float) = Pair((x - left) / scale, (y - top) / scale)
}

fun place(width: Int, height: Int, viewWidth: Int, viewHeight: Int): Placement {
    val scale = minOf(viewWidth.toFloat() / width, viewHeight.toFloat() / height)
    return Placement(scale, (viewWidth - scale * width) / 2, (viewHeight - scale * height) / 2)
}

/** The class id under a point of the view, or null beside the mask. */
fun classAt(result: Result, placement: Placement, x: Float, y: Float): Int? {
    val mask = result.mask ?: return null
    val (column, row) = placement.toPicture(x, y)
    val box = result.box
    val acrossMask = (column - box.left) / box.width * result.maskWidth
    val downMask = (row - box.top) / box.height * result.maskHeight
    if (acrossMask < 0 || downMask < 0) return null
    if (acrossMask >= result.maskWidth || downMask >= result.maskHeight) return null
    return mask[downMask.toInt() * result.maskWidth + acrossMask.toInt()].toInt() and 0xff
}
