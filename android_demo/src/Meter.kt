package org.dlakeras.demo

private const val WINDOW = 15 // frames whose median is shown

/** How long the steps of a frame take, and how many come in a second. */
class Meter {
    private val frames = ArrayDeque<Pair<Timing, Long>>()

    /** Frames that came while another one was at work. */
    var dropped = 0

    fun reset() {
        frames.clear()
        dropped = 0
    }

    /** @param at when the frame was done, ns */
    fun add(timing: Timing, at: Long) {
        frames.addLast(timing to at)
        if (frames.size > WINDOW) frames.removeFirst()
    }

    /** Medians over the last frames, ms; null before the first. */
    val timing: Timing?
        get() = if (frames.isEmpty()) null else Timing(
            median { it.prepare }, median { it.infer }, median { it.mask },
        )

    /** Frames a second; null before the second one. */
    val rate: Double?
        get() = if (frames.size < 2) null else {
            1e9 * (frames.size - 1) / (frames.last().second - frames.first().second)
        }

    private fun median(of: (Timing) -> Double) =
        frames.map { of(it.first) }.sorted()[frames.size / 2]
}
