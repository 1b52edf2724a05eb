package org.dlakeras.demo

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Each byte on the way through the app is Python's. */
class BytesTest {
    @Test
    fun `frames of each layout, turned each way, have Pillow's colours`() {
        for (layout in listOf("planar", "semiplanar", "padded")) {
            val frame = Fixtures.frame(layout)
            for (degrees in listOf(0, 90, 180, 270)) {
                for (mirrored in listOf(false, true)) {
                    val rgb = ByteArray(3 * frame.width * frame.height)
                    toUprightRgb(frame, Turn(degrees, mirrored), rgb)
                    val name = "$degrees-${if (mirrored) 1 else 0}"
                    val expected = Fixtures.bytes("frames/$name.rgb")
                    assertArrayEquals("$layout $name", expected, rgb)
                }
            }
        }
    }

    @Test
    fun `live frames are cropped by the web page's rule`() {
        val crops = Fixtures.list("frames/crops.json")
        for (i in 0 until crops.length()) {
            val numbers = List(8) { crops.getJSONArray(i).getInt(it) }
            val (width, height, toWidth, toHeight) = numbers
            val (left, top, cropWidth, cropHeight) = numbers.drop(4)
            val expected = Box(left, top, cropWidth, cropHeight)
            assertEquals(expected, cropTo(width, height, toWidth, toHeight))
        }
    }

    @Test
    fun `a live square stays a square`() {
        // A phone held upright; squashed, 120 x 120 pixels would be 96 x 36.
        val box = cropTo(480, 640, 384, 192)
        val across = 120.0 * 384 / box.width
        val down = 120.0 * 192 / box.height
        assertEquals(1.0, across / down, 0.01)
    }

    @Test
    fun `pictures enter the network as Python's`() {
        for (model in Fixtures.models) {
            val facts = checkModel(Fixtures.model(model))
            for (stem in Fixtures.stems(model)) {
                val (argb, width, height) = Fixtures.picture(stem)
                val rgb = ByteArray(3 * argb.size).also { toRgb(argb, it) }
                val input = ByteArray(3 * facts.width * facts.height)
                PictureFit(width, height, facts).fit(rgb, input)
                assertArrayEquals(stem, Fixtures.bytes("pictures/$stem.input"), input)
            }
        }
    }

    @Test
    fun `sizes in the network are Python's, by each rule`() {
        val sizes = Fixtures.json("pictures/fits.json").getJSONArray("sizes")
        for (i in 0 until sizes.length()) {
            val entry = sizes.getJSONObject(i)
            fun pair(key: String) = List(2) { entry.getJSONArray(key).getInt(it) }
            val (height, width) = pair("picture")
            val (roomHeight, roomWidth) = pair("room")
            val facts = ModelFacts(
                "", "", emptyList(), roomHeight, roomWidth, 0, entry.getString("fit"),
                entry.optInt("max_side").takeIf { it > 0 }, null, emptyList(), null, null,
            )
            val (found, tall) = contentSize(width, height, facts)
            assertEquals("$entry", pair("size"), listOf(tall, found))
        }
        assertTrue(sizes.length() >= 20)
    }

    @Test
    fun `saved overlays are Python's`() {
        val facts = checkModel(Fixtures.model("int8-64x96"))
        for (stem in Fixtures.stems("int8-64x96")) {
            val (argb, width, height) = Fixtures.picture(stem)
            val mask = Fixtures.bytes("pictures/$stem.mask")
            val overlay = IntArray(mask.size).also { paint(mask, palette(facts.classes), it) }
            val result = Result(
                width, height, argb, Box(0, 0, width, height), width, height, mask,
                overlay, floatArrayOf(), Timing(0.0, 0.0, 0.0),
            )
            val rgb = ByteArray(3 * argb.size).also { toRgb(blend(result, 0.6f), it) }
            assertArrayEquals(stem, Fixtures.bytes("pictures/$stem.overlay"), rgb)
        }
    }

    @Test
    fun `equal scores give the first class`() {
        val facts = Output(0, Kind.LOGITS, "uint8", 1.0, 0)
        val scores = Fixtures.direct(byteArrayOf(3, 3, 1, 0, 200.toByte(), 127))
        val mask = ByteArray(2).also { readMask(facts, scores, 3, it) }
        assertArrayEquals(byteArrayOf(0, 1), mask)
    }

    @Test
    fun `shares add up`() {
        val shares = classShares(Fixtures.bytes("pictures/int8-64x96-0.mask"), 19)
        assertEquals(1f, shares.sum(), 1e-6f)
        assertTrue(shares.count { it > 0 } >= 3)
    }
}
