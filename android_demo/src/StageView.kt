package org.dlakeras.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import android.view.MotionEvent
import android.view.View

private const val SHARE = 60 // of an upright screen's height, per cent at most

/**
 * Draws the picture that the network saw with what it says about it, and names
 * the class or the box under a finger. There is no preview beside it to be apart from.
 */
class StageView(context: Context) : View(context) {
    private val smooth = Paint(Paint.FILTER_BITMAP_FLAG)
    private val exact = Paint().apply { isFilterBitmap = false } // colours would blend
    private val shade = Paint().apply { color = 0x99000000.toInt() }
    private val label = Paint(Paint.ANTI_ALIAS_FLAG)
    private val boxes = BoxPainter()
    private val matrix = Matrix()
    private var picture: Bitmap? = null
    private var overlay: Bitmap? = null
    private var result: Result? = null
    private var classes = emptyList<ClassFacts>()
    private var finger: Pair<Float, Float>? = null

    /** Of the overlay, 0 to 1. */
    var opacity = 0.6f
        set(value) {
            field = value
            invalidate()
        }

    /** Score from which on boxes are shown, 0 to 1. */
    var leastScore = 0f
        set(value) {
            field = value
            point()
            invalidate()
        }

    /** The name under the finger; null where there is none. */
    var pointed: String? = null
        private set

    /** As high as the picture needs, where the height is not given. */
    override fun onMeasure(width: Int, height: Int) {
        val wide = MeasureSpec.getSize(width)
        val most = MeasureSpec.getSize(height)
        val shown = result
        val wanted = if (shown == null) wide / 2 else wide * shown.height / shown.width
        val exactly = MeasureSpec.getMode(height) == MeasureSpec.EXACTLY
        val highest = most * SHARE / 100
        setMeasuredDimension(wide, if (exactly) most else minOf(wanted, highest))
    }

    fun show(result: Result, classes: List<ClassFacts>) {
        val old = this.result
        if (old?.width != result.width || old.height != result.height) requestLayout()
        this.result = result
        this.classes = classes
        picture = filled(picture, result.picture, result.width, result.height)
        overlay = filled(overlay, result.overlay, result.maskWidth, result.maskHeight)
        point()
        invalidate()
    }

    private fun filled(old: Bitmap?, argb: IntArray, width: Int, height: Int): Bitmap {
        val bitmap = old?.takeIf { it.width == width && it.height == height }
            ?: Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        bitmap.setPixels(argb, 0, width, 0, 0, width, height)
        return bitmap
    }

    /** What is drawn now, for a file: its own pixels, not the screen's. */
    fun snapshot(): Bitmap? {
        val shown = result ?: return null
        fun pixels(bitmap: Bitmap) = IntArray(bitmap.width * bitmap.height).also {
            bitmap.getPixels(it, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        }
        val copy = Result(
            shown.width, shown.height, pixels(picture!!), shown.box, shown.maskWidth,
            shown.maskHeight, null, pixels(overlay!!), shown.shares, shown.timing,
        )
        val bitmap = Bitmap.createBitmap(shown.width, shown.height, Bitmap.Config.ARGB_8888)
        bitmap.setPixels(blend(copy, opacity), 0, shown.width, 0, 0, shown.width, shown.height)
        val line = maxOf(1f, maxOf(shown.width, shown.height) / 400f)
        boxes.draw(Canvas(bitmap), sure(shown), classes, Placement(1f, 0f, 0f), line)
        return bitmap
    }

    private fun sure(shown: Result) = above(shown.found.orEmpty(), leastScore)

    override fun onDraw(canvas: Canvas) {
        canvas.drawColor(Color.BLACK)
        val shown = result ?: return
        val placement = place(shown.width, shown.height, width, height)
        matrix.setScale(placement.scale, placement.scale)
        matrix.postTranslate(placement.left, placement.top)
        canvas.drawBitmap(picture!!, matrix, smooth)
        val box = shown.box
        val (left, top) = placement.toView(box.left.toFloat(), box.top.toFloat())
        val (right, bottom) = placement.toView(
            (box.left + box.width).toFloat(), (box.top + box.height).toFloat(),
        )
        drawShade(canvas, placement, shown, left, top, right, bottom)
        matrix.setScale((right - left) / shown.maskWidth, (bottom - top) / shown.maskHeight)
        matrix.postTranslate(left, top)
        exact.alpha = (255 * opacity).toInt()
        canvas.drawBitmap(overlay!!, matrix, exact)
        val line = 1.5f * resources.displayMetrics.density
        boxes.draw(canvas, sure(shown), classes, placement, line)
        drawLabel(canvas)
    }

    /** Dims what the network does not see. */
    private fun drawShade(
        canvas: Canvas, placement: Placement, shown: Result,
        left: Float, top: Float, right: Float, bottom: Float,
    ) {
        val (firstX, firstY) = placement.toView(0f, 0f)
        val (lastX, lastY) = placement.toView(shown.width.toFloat(), shown.height.toFloat())
        canvas.drawRect(firstX, firstY, lastX, top, shade)
        canvas.drawRect(firstX, bottom, lastX, lastY, shade)
        canvas.drawRect(firstX, top, left, bottom, shade)
        canvas.drawRect(right, top, lastX, bottom, shade)
    }

    private fun drawLabel(canvas: Canvas) {
        val name = pointed ?: return
        val (x, y) = finger ?: return
        val unit = resources.displayMetrics.density
        label.textSize = 18 * unit
        val wide = label.measureText(name) + 16 * unit
        val left = (x - wide / 2).coerceIn(0f, maxOf(0f, width - wide))
        val bottom = maxOf(y - 32 * unit, 32 * unit) // above the finger
        label.color = 0xe6000000.toInt()
        canvas.drawRoundRect(left, bottom - 32 * unit, left + wide, bottom, 6 * unit, 6 * unit, label)
        label.color = Color.WHITE
        canvas.drawText(name, left + 8 * unit, bottom - 10 * unit, label)
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        val released = event.actionMasked == MotionEvent.ACTION_UP
        if (released) performClick()
        finger = if (released || event.actionMasked == MotionEvent.ACTION_CANCEL) null
        else event.x to event.y
        point()
        invalidate()
        return true
    }

    override fun performClick(): Boolean = super.performClick()

    private fun point() {
        val shown = result
        val place = finger
        pointed = if (shown == null || place == null) null else name(shown, place.first, place.second)
    }

    private fun name(shown: Result, x: Float, y: Float): String? {
        val placement = place(shown.width, shown.height, width, height)
        val id = classAt(shown, placement, x, y)
        if (id != null) return classes.getOrNull(id)?.name
        val (column, row) = placement.toPicture(x, y)
        return boxAt(sure(shown), column, row)?.label(classes)
    }
}
