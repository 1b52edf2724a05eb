package org.dlakeras.demo

import android.content.Context
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import java.util.Locale

/** The list of models: what each file says of itself, and one more from a file. */
class ModelSheet(
    context: Context, private val store: ModelStore, private val current: String,
    private val choice: Choice,
) : ScrollView(context) {
    interface Choice {
        fun use(name: String)
        fun remove(name: String)
        fun open()
    }

    private val unit = resources.displayMetrics.density
    private val column = LinearLayout(context).apply { orientation = LinearLayout.VERTICAL }

    init {
        val space = (12 * unit).toInt()
        column.setPadding(space, 0, space, space)
        store.list().forEach(::add)
        column.addView(button("Open another …") { choice.open() })
        addView(column)
    }

    private fun button(label: String, act: () -> Unit) = Button(context).apply {
        text = label
        isAllCaps = false
        setOnClickListener { act() }
    }

    private fun add(name: String) {
        val text = TextView(context).apply {
            text = "${if (name == current) "✓ " else ""}$name\n${described(name)}"
            textSize = 15f
            setTextColor(Look(context).text)
            val space = (8 * unit).toInt()
            setPadding(space, space, space, space)
            minimumHeight = (48 * unit).toInt()
            setOnClickListener { choice.use(name) }
        }
        val row = LinearLayout(context)
        row.addView(text, LinearLayout.LayoutParams(0, -2, 1f))
        if (name != ModelStore.BUNDLED) {
            val remove = button("Remove") { choice.remove(name) }
            remove.contentDescription = "Remove $name"
            row.addView(remove)
        }
        column.addView(row)
    }

    private fun described(name: String) = try {
        val bytes = store.bytes(name)
        val size = String.format(Locale.ROOT, "%.1f MB", bytes.limit() / 1e6)
        "${checkModel(bytes).description}, $size"
    } catch (error: Exception) {
        reason(error)
    }
}
