package org.dlakeras.demo

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

class GeometryTest {
    @Test
    fun `the world stands upright on each screen, with each sensor and facing`() {
        for (sensor in listOf(90, 270)) {
            for (display in listOf(0, 90, 180, 270)) {
                for (front in listOf(false, true)) {
                    // Turning the phone turns back what it sees; what is seen in
                    // a mirror turns the other way.
                    val degrees = if (front) sensor + display else sensor - display + 360
                    assertEquals(Turn(degrees % 360, front), turn(sensor, display, front))
                }
            }
        }
        // As phones are: back cameras at 90, front ones at 270.
        assertEquals(Turn(90, false), turn(90, 0, false)) // upright
        assertEquals(Turn(0, false), turn(90, 90, false)) // top to the left
        assertEquals(Turn(180, false), turn(90, 270, false)) // top to the right
        assertEquals(Turn(270, true), turn(270, 0, true))
        assertEquals(Turn(0, true), turn(270, 90, true))
    }

    @Test
    fun `points of the view and of the picture are each other's`() {
        for ((width, height) in listOf(640 to 480, 480 to 640, 96 to 64)) {
            val placement = place(width, height, 1080, 700)
            val (left, top) = placement.toView(0f, 0f)
            val (right, bottom) = placement.toView(width.toFloat(), height.toFloat())
            assertEquals(1080f, left + right, 1e-2f) // in the middle
            assertEquals(700f, top + bottom, 1e-2f)
            val (x, y) = placement.toPicture(right - 1, bottom - 1)
            val (viewX, viewY) = placement.toView(x, y)
            assertEquals(right - 1, viewX, 1e-2f)
            assertEquals(bottom - 1, viewY, 1e-2f)
        }
    }

    @Test
    fun `a touch names the pixel below it, and none beside the mask`() {
        val mask = byteArrayOf(1, 2, 3, 4) // two by two, in the middle of a frame
        val result = Result(
            8, 4, IntArray(32), Box(2, 0, 4, 4), 2, 2, mask, IntArray(4),
            floatArrayOf(), Timing(0.0, 0.0, 0.0),
        )
        val placement = place(8, 4, 80, 40)
        assertEquals(1, classAt(result, placement, 21f, 1f))
        assertEquals(2, classAt(result, placement, 59f, 19f))
        assertEquals(3, classAt(result, placement, 21f, 21f))
        assertEquals(4, classAt(result, placement, 59f, 39f))
        assertNull(classAt(result, placement, 19f, 1f))
        assertNull(classAt(result, placement, 61f, 1f))
    }

    // What three phones list for YUV_420_888, the usual part of it.
    private val sizes = listOf(
        listOf(4032 to 3024, 1920 to 1080, 1280 to 720, 640 to 480, 320 to 240, 176 to 144),
        listOf(4000 to 3000, 1920 to 1440, 1440 to 1080, 800 to 600, 720 to 480, 352 to 288),
        listOf(640 to 480),
    )

    @Test
    fun `the camera is asked for as many pixels as the network takes`() {
        assertEquals(640 to 480, chooseSize(sizes[0], 384, 192, true))
        assertEquals(640 to 480, chooseSize(sizes[0], 384, 192, false))
        assertEquals(720 to 480, chooseSize(sizes[1], 384, 192, true))
        assertEquals(720 to 480, chooseSize(sizes[1], 480, 384, false))
        assertEquals(1920 to 1440, chooseSize(sizes[1], 1200, 600, true))
        assertEquals(640 to 480, chooseSize(sizes[2], 2048, 1024, false))
        assertNull(chooseSize(emptyList(), 384, 192, false))
    }
}
