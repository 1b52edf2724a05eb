package org.dlakeras.demo

import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import java.util.Locale

/** An object that was found; its sides are in the picture's pixels. */
class Found(
    val left: Float, val top: Float, val right: Float, val bottom: Float,
    val id: Int, val score: Float,
) {
    /** For instance "car 0.87". */
    fun label(classes: List<ClassFacts>): String {
        val name = classes.getOrNull(id)?.name ?: "$id"
        return String.format(Locale.ROOT, "%s %.2f", name, score)
    }
}

/**
 * The boxes of a picture, the surest first. It is `BoxPredictor` of
 * `dla_keras/inference/predictor.py`, in float32 as there.
 */
fun readBoxes(facts: ModelFacts, engine: Engine, fit: Fit): List<Found> {
    val (places, ids, scores) = facts.boxes.map { engine.output(it.index) }
    val (wide, tall) = fit.content
    val box = fit.box
    fun across(at: Int) = box.left + (
        places.getFloat(4 * at) * facts.width * (box.width.toDouble() / wide).toFloat()
        ).coerceIn(0f, box.width.toFloat())
    fun down(at: Int) = box.top + (
        places.getFloat(4 * at) * facts.height * (box.height.toDouble() / tall).toFloat()
        ).coerceIn(0f, box.height.toFloat())
    val all = List(scores.limit() / 4) {
        Found(
            across(4 * it + 1), down(4 * it), across(4 * it + 3), down(4 * it + 2),
            ids.getFloat(4 * it).toInt(), scores.getFloat(4 * it),
        )
    }
    // Not what lies in the border, nor what has a size below 0.
    return all.filter { it.left < it.right && it.top < it.bottom }
}

fun above(found: List<Found>, score: Float) = found.filter { it.score >= score }

/** How many there are of each class. */
fun classCounts(found: List<Found>, classes: Int): IntArray {
    val counts = IntArray(classes)
    for (each in found) if (each.id in counts.indices) counts[each.id]++
    return counts
}

/** The smallest box around a point of the picture. */
fun boxAt(found: List<Found>, x: Float, y: Float): Found? = found
    .filter { x >= it.left && x < it.right && y >= it.top && y < it.bottom }
    .minByOrNull { (it.right - it.left) * (it.bottom - it.top) }

/** Draws boxes with their classes and scores. */
class BoxPainter {
    private val paint = Paint(Paint.ANTI_ALIAS_FLAG)

    /** @param line width of the lines; letters are eight times as high */
    fun draw(
        canvas: Canvas, found: List<Found>, classes: List<ClassFacts>, placement: Placement,
        line: Float,
    ) {
        paint.strokeWidth = line
        paint.textSize = 8 * line
        for (each in found.asReversed()) { // the surest on top
            val (left, top) = placement.toView(each.left, each.top)
            val (right, bottom) = placement.toView(each.right, each.bottom)
            val color = classes.getOrNull(each.id)?.color ?: Color.WHITE
            val text = each.label(classes)
            paint.color = color
            paint.style = Paint.Style.STROKE
            canvas.drawRect(left, top, right, bottom, paint)
            paint.style = Paint.Style.FILL
            val wide = paint.measureText(text) + 4 * line
            canvas.drawRect(left, top, left + wide, top + 10 * line, paint)
            val light = Color.red(color) + Color.green(color) + Color.blue(color) >= 380
            paint.color = if (light) Color.BLACK else Color.WHITE
            canvas.drawText(text, left + 2 * line, top + 8 * line, paint)
        }
    }
}
