package org.dlakeras.demo

import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Files that the app cannot run: a sentence for each, and no other error. */
class FaultsTest {
    private fun refusal(bytes: ByteBuffer): String? = try {
        Segmenter(checkModel(bytes), bytes, 1, ::TfLiteEngine).close()
        null
    } catch (error: ModelError) {
        error.message
    }

    @Test
    fun `each faulty file is refused with the web page's reason`() {
        val reasons = Fixtures.json("faults/faults.json")
        assertEquals(13, reasons.length())
        for (name in reasons.keys()) {
            val bytes = Fixtures.direct(Fixtures.bytes("faults/$name.tflite"))
            val text = refusal(bytes).orEmpty()
            val expected = Regex(reasons.getString(name))
            assertTrue("$name: $text", expected.containsMatchIn(text))
            assertTrue("$name: $text", text.endsWith("."))
        }
    }

    @Test
    fun `bad facts are refused, each for its own reason`() {
        val file = Fixtures.bytes("faults/facts.tflite")
        val table = Fixtures.json("faults/facts.json")
        val good = table.getString("good").toByteArray()
        val at = file.indices.first { start -> good.indices.all { file[start + it] == good[it] } }
        fun said(text: String): String? = try {
            val bytes = file.copyOf()
            bytes.fill(' '.code.toByte(), at, at + table.getInt("room"))
            text.toByteArray().copyInto(bytes, at)
            checkModel(ByteBuffer.wrap(bytes))
            null
        } catch (error: ModelError) {
            error.message
        }
        assertEquals(null, said(table.getString("good")))
        val bad = table.getJSONObject("bad")
        assertTrue(bad.length() >= 25)
        for (name in bad.keys()) {
            val (text, word) = List(2, bad.getJSONArray(name)::getString)
            val sentence = said(text).orEmpty()
            assertTrue("$name: $sentence", Regex(word).containsMatchIn(sentence))
            assertTrue("$name: $sentence", sentence.endsWith("."))
        }
    }

    @Test
    fun `a good file is not refused`() {
        for (name in Fixtures.models) assertEquals(null, refusal(Fixtures.model(name)))
    }

    @Test
    fun `a file cut anywhere is refused before the interpreter sees it`() {
        val whole = Fixtures.bytes("models/int8-64x96.tflite")
        for (length in lengths(whole.size)) {
            try {
                checkModel(ByteBuffer.wrap(whole, 0, length).slice())
            } catch (expected: ModelError) {
                continue
            }
            throw AssertionError("$length of ${whole.size} bytes were taken")
        }
    }

    @Test
    fun `a flipped bit is refused`() {
        val bytes = Fixtures.bytes("models/int8-64x96.tflite")
        for (place in listOf(bytes.size / 4, bytes.size / 2)) { // weights
            bytes[place] = (bytes[place].toInt() xor 1).toByte()
            val text = refusal(Fixtures.direct(bytes)).orEmpty()
            assertTrue(text, "damaged or changed" in text)
            bytes[place] = (bytes[place].toInt() xor 1).toByte()
        }
    }

    @Test
    fun `a rule of fitting from the future is refused`() {
        val text = refusal(Fixtures.direct(Fixtures.bytes("faults/other-fit.tflite"))).orEmpty()
        assertTrue(text, Regex("by \"crop\"; this app knows pad").containsMatchIn(text))
    }

    /** Every length of both ends, where tables and facts lie; then a sieve. */
    private fun lengths(end: Int) =
        (0 until 1000) + (1000 until end - 1000 step 997) + (end - 1000 until end)

    @Test
    fun `damaged bytes give a sentence or a model, never another error`() {
        val whole = Fixtures.bytes("models/int8-64x96.tflite")
        val random = java.util.Random(0)
        repeat(300) {
            val bytes = whole.copyOf()
            repeat(20) {
                val at = random.nextInt(20_000)
                val place = if (random.nextBoolean()) at else bytes.size - 1 - at
                bytes[place] = random.nextInt(256).toByte()
            }
            try {
                checkModel(ByteBuffer.wrap(bytes))
            } catch (expected: ModelError) {
                assertTrue(expected.message!!.isNotEmpty())
            }
        }
    }
}
