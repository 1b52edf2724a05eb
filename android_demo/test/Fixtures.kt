package org.dlakeras.demo

import java.io.File
import java.nio.ByteBuffer
import javax.imageio.ImageIO
import org.json.JSONArray
import org.json.JSONObject

/** What `tools/make_fixtures.py` wrote: models, pictures, frames, and faults. */
object Fixtures {
    private val folder = File("../build/fixtures")

    fun file(name: String) = File(folder, name)

    fun bytes(name: String): ByteArray = file(name).readBytes()

    fun json(name: String) = JSONObject(file(name).readText())

    fun list(name: String) = JSONArray(file(name).readText())

    /** Outside Java's memory, where native code reads it. */
    fun direct(bytes: ByteArray): ByteBuffer =
        ByteBuffer.allocateDirect(bytes.size).also { it.put(bytes); it.rewind() }

    /** One that is shipped, or one of another rule of fitting, which lies beside them. */
    fun model(name: String): ByteBuffer {
        val files = listOf("models", "others").map { file("$it/$name.tflite") }
        return direct(files.first(File::exists).readBytes())
    }

    /** A picture as 0xAARRGGBB with its width and height. */
    fun picture(name: String): Triple<IntArray, Int, Int> {
        val image = ImageIO.read(file("pictures/$name.png"))
        val argb = image.getRGB(0, 0, image.width, image.height, null, 0, image.width)
        return Triple(argb, image.width, image.height)
    }

    /** Models whose pictures have masks of Python's: in the network's way, and by other rules. */
    private val masks: Map<String, JSONArray> by lazy {
        val lists = listOf(
            json("pictures/masks.json"), json("pictures/fits.json").getJSONObject("masks"),
        )
        lists.flatMap { list -> list.keys().asSequence().map { it to list.getJSONArray(it) } }.toMap()
    }

    fun stems(model: String): List<String> {
        val entries = masks.getValue(model)
        return List(entries.length()) { entries.getJSONObject(it).getString("stem") }
    }

    /** Rows of numbers. */
    fun rows(table: JSONArray): List<FloatArray> = List(table.length()) { row ->
        val numbers = table.getJSONArray(row)
        FloatArray(numbers.length()) { numbers.getDouble(it).toFloat() }
    }

    val models: List<String> get() = masks.keys.toList()

    /** A camera's frame in one of the layouts. */
    fun frame(layout: String): Frame {
        val facts = json("frames/frames.json")
        val (height, width) = listOf("height", "width").map(facts::getInt)
        val strides = facts.getJSONObject("layouts").getJSONArray(layout)
        val (row, colorRow, step) = List(3, strides::getInt)
        val content = bytes("frames/$layout.yuv")
        fun part(from: Int, size: Int) = ByteBuffer.wrap(content.copyOfRange(from, from + size))
        val colors = height / 2 * colorRow
        return Frame(
            width, height, part(0, height * row), part(height * row, colors),
            part(height * row + colors, colors), row, colorRow, step,
        )
    }
}
