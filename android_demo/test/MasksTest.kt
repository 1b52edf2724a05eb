package org.dlakeras.demo

import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
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
