package org.dlakeras.demo

import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** From a picture's file to its mask, with the interpreter that phones have. */
class MasksTest {
    /** The largest share of pixels that differ from Python's, over pictures. */
    private fun difference(model: String, threads: Int): Double {
        val bytes = Fixtures.model(model)
        val segmenter = Segmenter(checkModel(bytes), bytes, threads, ::TfLiteEngine)
        val stems = Fixtures.stems(model)
        assertEquals(8, stems.size)
        return segmenter.use {
            stems.maxOf { stem ->
                val (argb, width, height) = Fixtures.picture(stem)
                val mask = segmenter.segment(argb, width, height).mask!!
                val expected = Fixtures.bytes("pictures/$stem.mask")
                assertEquals(expected.size, mask.size)
                mask.indices.count { mask[it] != expected[it] } / mask.size.toDouble()
            }
        }
    }

    @Test
    fun `masks are Python's`() {
        for (model in Fixtures.models) {
            for (threads in listOf(1, 2)) {
                val share = difference(model, threads)
                // int8 arithmetic is exact. In float32, sums in another order
                // may move the few pixels that lie between two classes.
                val most = if (model.startsWith("float32")) 2e-3 else 0.0
                assertTrue("$model, $threads threads: $share", share <= most)
            }
        }
    }

    private fun numbers(name: String): FloatArray {
        val bytes = Fixtures.direct(Fixtures.bytes("pictures/$name.f32"))
        bytes.order(ByteOrder.LITTLE_ENDIAN)
        return FloatArray(bytes.limit() / 4) { bytes.getFloat(4 * it) }
    }

    private fun open(name: String): Segmenter {
        val bytes = Fixtures.direct(Fixtures.bytes("others/$name.tflite"))
        return Segmenter(checkModel(bytes), bytes, 1, ::TfLiteEngine)
    }

    @Test
    fun `a classifier looks at Python's crop and is as sure as there`() {
        open("classifier").use {
            val (argb, width, height) = Fixtures.picture("others")
            val rgb = ByteArray(3 * argb.size).also { toRgb(argb, it) }
            val input = ByteArray(3 * 64 * 96)
            CentralCrop(width, height, it.facts).fit(rgb, input)
            assertArrayEquals(Fixtures.bytes("pictures/others.input"), input)
            val shares = it.segment(argb, width, height).shares
            assertEquals(1f, shares.sum(), 1e-4f)
            assertArrayEquals(numbers("classifier"), shares, 1e-4f)
            assertEquals("street 0", it.facts.classes[0].name)
        }
    }

    @Test
    fun `boundaries are Python's, over the mask of the same file`() {
        open("boundary").use {
            val (argb, width, height) = Fixtures.picture("others")
            val result = it.segment(argb, width, height)
            val expected = numbers("boundary")
            assertTrue(expected.maxOrNull()!! - expected.minOrNull()!! > 0.01)
            val colors = palette(it.facts.classes)
            var reddened = 0
            for (y in 0 until height) {
                for (x in 0 until width) {
                    val share = expected[y * 64 / height * 96 + x * 96 / width]
                    val below = colors[result.mask!![y * width + x].toInt()]
                    val wanted = mix(below, 0xffc80028.toInt(), (share * 255).toInt() / 255f)
                    val found = result.overlay[y * width + x]
                    for (shift in listOf(0, 8, 16)) {
                        val apart = (wanted shr shift and 255) - (found shr shift and 255)
                        assertTrue("$x $y: $apart", apart in -2..2) // sums in another order
                    }
                    if (found != below) reddened++
                }
            }
            assertTrue("$reddened", reddened > 0)
        }
    }

    @Test
    fun `boxes are Python's, by each rule of fitting`() {
        val files = Fixtures.json("pictures/boxes.json")
        assertEquals(6, files.length())
        for (name in files.keys()) {
            val pictures = files.getJSONObject(name)
            // Integers leave no doubt about boxes; of floats the order of sums
            // is another one.
            val most = if ("int8" in name) 0f else 0.05f
            open(name).use { detector ->
                for (stem in pictures.keys()) {
                    val (argb, width, height) = Fixtures.picture(stem)
                    val found = detector.segment(argb, width, height).found!!
                    val rows = Fixtures.rows(pictures.getJSONArray(stem))
                    assertEquals(rows.size, found.size)
                    for (row in rows.filter { it[1] > 0 }) {
                        val twins = found.filter { each ->
                            val sides = listOf(each.top, each.left, each.bottom, each.right)
                            each.id == row[0].toInt() && Math.abs(each.score - row[1]) < 1e-3 &&
                                sides.indices.all { Math.abs(sides[it] - row[2 + it]) <= most }
                        }
                        assertTrue("$name, $stem: ${row.toList()}", twins.isNotEmpty())
                    }
                }
            }
        }
    }

    @Test
    fun `a live frame's boxes lie in its crop`() {
        val frame = Fixtures.frame("planar")
        open("boxes-int8-pad").use { detector ->
            val live = detector.segment(frame, Turn(90, false))
            val crop = live.box
            val argb = IntArray(crop.width * crop.height) {
                live.picture[(crop.top + it / crop.width) * live.width + crop.left + it % crop.width]
            }
            // The same crop as a picture of its own: stretched likewise.
            val still = open("boxes-int8-stretch")
            val expected = still.use { it.segment(argb, crop.width, crop.height).found!! }
            live.found!!.zip(expected).forEach { (one, other) ->
                assertEquals(other.left + crop.left, one.left, 1e-3f)
                assertEquals(other.bottom + crop.top, one.bottom, 1e-3f)
            }
            assertTrue(live.found.any { it.score > 0.3f && it.right > it.left })
        }
    }

    @Test
    fun `the smallest box is pointed at, and classes are counted`() {
        val large = Found(0f, 0f, 50f, 50f, 2, 0.9f)
        val small = Found(10f, 10f, 20f, 20f, 0, 0.4f)
        val found = listOf(large, small)
        assertEquals(small, boxAt(found, 12f, 15f))
        assertEquals(large, boxAt(found, 20f, 15f))
        assertEquals(null, boxAt(found, 60f, 15f))
        assertEquals(listOf(1, 0, 1), classCounts(found, 3).toList())
        assertEquals(listOf(large), above(found, 0.5f))
        assertEquals("2 0.90", large.label(emptyList()))
    }

    @Test
    fun `a live frame's mask is that of its crop`() {
        val bytes = Fixtures.model("int8-64x96")
        val frame = Fixtures.frame("semiplanar")
        Segmenter(checkModel(bytes), bytes, 1, ::TfLiteEngine).use { segmenter ->
            val turn = Turn(90, false)
            val live = segmenter.segment(frame, turn)
            assertEquals(frame.height to frame.width, live.width to live.height)
            assertEquals(cropTo(live.width, live.height, 96, 64), live.box)
            val first = live.mask!!.copyOf()
            val again = segmenter.segment(frame, turn)
            assertTrue(first.contentEquals(again.mask))
            assertTrue(live.overlay === again.overlay) // nothing is made anew
        }
    }

    @Test
    fun `five hundred frames make no new arrays`() {
        val bytes = Fixtures.model("int8-64x96")
        val frame = Fixtures.frame("planar")
        val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
        val thread = Thread.currentThread().id
        Segmenter(checkModel(bytes), bytes, 1, ::TfLiteEngine).use { segmenter ->
            val frames = { repeat(500) { segmenter.segment(frame, Turn(90, it % 2 == 0)) } }
            frames() // classes are loaded, and buffers made
            val before = threads.getThreadAllocatedBytes(thread)
            frames()
            val each = (threads.getThreadAllocatedBytes(thread) - before) / 500
            // The smallest array of a picture has 6,144 bytes.
            assertTrue("$each bytes a frame", each < 5000)
        }
    }
}
