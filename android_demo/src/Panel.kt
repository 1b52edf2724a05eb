package org.dlakeras.demo

import android.content.Context
import android.content.res.Configuration
import android.graphics.Color
import android.graphics.drawable.GradientDrawable
import android.view.Gravity
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.SeekBar
import android.widget.TextView
import java.util.Locale

private const val CLASSIFIED = 5 // classes of a picture that are listed

/** Colours of the screen, by day and by night. */
class Look(context: Context) {
    private val night = context.resources.configuration.uiMode and
        Configuration.UI_MODE_NIGHT_MASK == Configuration.UI_MODE_NIGHT_YES
    val back = if (night) 0xff14171c.toInt() else Color.WHITE
    val text = if (night) 0xffe8eaed.toInt() else 0xff1c1f24.toInt()
    val faint = if (night) 0xff9aa0a8.toInt() else 0xff5b626b.toInt()
    val alert = if (night) 0xff4a1f1f.toInt() else 0xfffbe3e0.toInt()
    val light get() = !night
}

/** What the panel's controls do. */
interface Actions {
    fun toggleCamera()
    fun turnCamera()
    fun openPicture()
    fun showModels()
    fun save()
    fun setOpacity(share: Float)
    fun setLeastScore(share: Float)
    fun changeThreads()
}

/** Everything beside the picture: messages, controls, times, and classes. */
class Panel(context: Context, private val actions: Actions) : ScrollView(context) {
    private val unit = resources.displayMetrics.density
    private val look = Look(context)
    private val column = column()
    private val status = text(16f, look.text)
    private val model = text(14f, look.faint)
    private val notice = text(15f, look.text)
    private val remedy = Button(context)
    private val alert = column()
    private val meter = text(14f, look.faint)
    private val legend = column()
    private val rows = ArrayList<Pair<View, TextView>>()
    private val camera = button("Camera") { actions.toggleCamera() }
    private val other = button("Other camera") { actions.turnCamera() }
    private val save = button("Save") { actions.save() }
    private val threads = button("") { actions.changeThreads() }
    private val opacity = slider(OPACITY, "Opacity", "Opacity of the mask") { actions.setOpacity(it) }
    private val leastScore = slider(SCORE, "Score", "Least score of a box") {
        actions.setLeastScore(it)
    }

    init {
        setBackgroundColor(look.back)
        isFillViewport = true
        status.accessibilityLiveRegion = View.ACCESSIBILITY_LIVE_REGION_POLITE
        notice.accessibilityLiveRegion = View.ACCESSIBILITY_LIVE_REGION_ASSERTIVE
        alert.setBackgroundColor(look.alert)
        alert.addView(notice)
        alert.addView(row(remedy, button("Close") { fail(null) }))
        alert.visibility = GONE
        for (view in listOf(
            alert, status, row(camera, button("Picture") { actions.openPicture() }, save),
            row(button("Model") { actions.showModels() }, threads, other), opacity,
            leastScore, meter, model, legend,
        )) {
            column.addView(view)
        }
        addView(column)
    }

    private fun column() = LinearLayout(context).apply {
        orientation = LinearLayout.VERTICAL
        val space = (8 * unit).toInt()
        setPadding(space, space, space, space)
    }

    private fun text(size: Float, color: Int) = TextView(context).apply {
        textSize = size
        setTextColor(color)
        val space = (4 * unit).toInt()
        setPadding(space, space, space, space)
    }

    private fun button(label: String, act: () -> Unit) = Button(context).apply {
        text = label
        isAllCaps = false
        setOnClickListener { act() }
    }

    private fun row(vararg views: View) = LinearLayout(context).apply {
        for (view in views) addView(view, LinearLayout.LayoutParams(0, WRAP_CONTENT, 1f))
    }

    private fun slider(number: Int, name: String, words: String, act: (Float) -> Unit): View {
        val label = text(14f, look.faint)
        val bar = SeekBar(context).apply {
            id = number
            contentDescription = words
            minimumHeight = (48 * unit).toInt()
            setOnSeekBarChangeListener(object : SeekBar.OnSeekBarChangeListener {
                override fun onProgressChanged(bar: SeekBar, value: Int, byUser: Boolean) {
                    label.text = "$name $value %"
                    act(value / 100f)
                }

                override fun onStartTrackingTouch(bar: SeekBar) = Unit

                override fun onStopTrackingTouch(bar: SeekBar) = Unit
            })
        }
        return LinearLayout(context).apply {
            gravity = Gravity.CENTER_VERTICAL
            addView(label, LinearLayout.LayoutParams((104 * unit).toInt(), WRAP_CONTENT))
            addView(bar, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT))
        }
    }

    fun setOpacity(share: Float) {
        findViewById<SeekBar>(OPACITY)!!.progress = Math.round(100 * share)
    }

    fun setLeastScore(share: Float) {
        findViewById<SeekBar>(SCORE)!!.progress = Math.round(100 * share)
    }

    fun setStatus(sentence: String) {
        status.text = sentence
    }

    /** @param sentence stays until closed, or until something works */
    fun fail(sentence: String?, label: String? = null, act: () -> Unit = {}) {
        notice.text = sentence.orEmpty()
        alert.visibility = if (sentence == null) GONE else VISIBLE
        remedy.visibility = if (label == null) GONE else VISIBLE
        remedy.text = label
        remedy.isAllCaps = false
        remedy.setOnClickListener { act() }
        if (sentence != null) scrollTo(0, 0)
    }

    fun setLive(live: Boolean, twoCameras: Boolean) {
        camera.text = if (live) "Stop" else "Camera"
        camera.contentDescription = if (live) "Stop the camera" else "Start the camera"
        other.visibility = if (live && twoCameras) VISIBLE else INVISIBLE
    }

    fun setThreads(count: Int) {
        threads.text = if (count == 1) "1 thread" else "$count threads"
        threads.contentDescription = "${threads.text}. Tap for another number"
    }

    fun setModel(name: String, facts: ModelFacts) {
        model.text = "$name: ${facts.description}"
        opacity.visibility = if (facts.detects) GONE else VISIBLE
        leastScore.visibility = if (facts.detects) VISIBLE else GONE
        legend.removeAllViews()
        rows.clear()
        val listed = if (facts.probabilities == null) facts.classes else {
            facts.classes.take(CLASSIFIED)
        }
        listed.forEach { addRow(it.name, it.color) }
    }

    private fun addRow(name: String, color: Int) {
        val swatch = View(context).apply {
            background = GradientDrawable().apply {
                setColor(color)
                cornerRadius = 4 * unit
                setStroke(unit.toInt(), look.faint)
            }
            importantForAccessibility = View.IMPORTANT_FOR_ACCESSIBILITY_NO
            visibility = if (color == 0) GONE else VISIBLE
        }
        val label = text(15f, look.text).apply { text = name }
        val share = text(15f, look.text)
        val line = LinearLayout(context).apply { gravity = Gravity.CENTER_VERTICAL }
        val side = (20 * unit).toInt()
        line.addView(swatch, LinearLayout.LayoutParams(side, side))
        line.addView(label, LinearLayout.LayoutParams(0, WRAP_CONTENT, 1f))
        line.addView(share)
        legend.addView(line)
        rows.add(line to share)
    }

    /** @param leastScore from which on boxes are counted */
    fun setResult(facts: ModelFacts, result: Result, leastScore: Float) {
        val shares = result.shares
        if (result.found != null) {
            val counts = classCounts(above(result.found, leastScore), facts.classes.size)
            rows.forEachIndexed { id, (line, number) ->
                number.text = "${counts[id]}"
                line.alpha = if (counts[id] == 0) 0.45f else 1f
            }
            return
        }
        if (facts.probabilities != null) {
            val best = shares.indices.sortedByDescending { shares[it] }.take(rows.size)
            best.forEachIndexed { place, id ->
                val name = (rows[place].first as LinearLayout).getChildAt(1) as TextView
                name.text = facts.classes[id].name
                rows[place].second.text = percent(shares[id])
            }
            return
        }
        rows.forEachIndexed { id, (line, share) ->
            share.text = percent(shares[id])
            line.alpha = if (shares[id] == 0f) 0.45f else 1f
        }
    }

    fun setMeter(meter: Meter) {
        val timing = meter.timing
        this.meter.text = if (timing == null) "" else listOfNotNull(
            "prepare ${ms(timing.prepare)}", "inference ${ms(timing.infer)}",
            "result ${ms(timing.mask)}",
            meter.rate?.let { String.format(Locale.ROOT, "%.1f frames a second", it) },
            meter.rate?.let { "${meter.dropped} dropped" },
        ).joinToString(" · ")
    }

    private fun ms(time: Double) = String.format(Locale.ROOT, "%.1f ms", time)

    companion object {
        const val OPACITY = 1
        const val SCORE = 2
    }
}

/** A share as the legend shows it. */
fun percent(share: Float): String = when {
    share > 0 && share < 0.001f -> "< 0.1 %"
    share == 0f || share >= 0.1f -> "${Math.round(100 * share)} %"
    else -> String.format(Locale.ROOT, "%.1f %%", 100 * share)
}

/** The largest classes in words, for the status line and for TalkBack. */
fun summary(facts: ModelFacts, result: Result, leastScore: Float): String {
    if (facts.classes.isEmpty()) return "Boundaries."
    if (result.found != null) {
        val counts = classCounts(above(result.found, leastScore), facts.classes.size)
        val most = counts.indices.filter { counts[it] > 0 }.sortedByDescending { counts[it] }
        if (most.isEmpty()) return "nothing at this score."
        return most.take(3).joinToString(", ") { "${counts[it]} ${facts.classes[it].name}" } + "."
    }
    val shares = result.shares
    val largest = shares.indices.filter { shares[it] > 0 }
        .sortedByDescending { shares[it] }.take(3)
    return largest.joinToString(", ") { "${facts.classes[it].name} ${percent(shares[it])}" } + "."
}
