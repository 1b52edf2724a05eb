package org.dlakeras.demo

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The bytes end before what they point at. */
class OutOfBounds(message: String) : Exception(message)

/**
 * One table of a FlatBuffer, the format below `.tflite` files, read in place
 * and no further than its last byte.
 */
class Table(private val bytes: ByteBuffer, private val position: Int) {
    // Each table begins with the distance back to its vtable, which lists
    // where its fields lie.
    private val vtable: Int
    private val vtableSize: Int

    init {
        val distance = int32(bytes, position)
        vtable = inside(bytes, position.toLong() - distance, 2)
        vtableSize = bytes.getShort(vtable).toInt() and 0xffff
        inside(bytes, vtable.toLong(), vtableSize.toLong())
    }

    /** An unsigned 32-bit number; 0 by default. */
    fun uint32(field: Int): Long =
        at(field)?.let { int32(bytes, it).toLong() and 0xffffffffL } ?: 0

    /** A signed byte, as most enumerations are; 0 by default. */
    fun int8(field: Int): Int =
        at(field)?.let { bytes.get(inside(bytes, it.toLong(), 1)).toInt() } ?: 0

    fun tables(field: Int): List<Table> = vector(field, 4) { start, count ->
        List(count) { Table(bytes, follow(bytes, start + 4 * it)) }
    } ?: emptyList()

    fun int32s(field: Int): List<Int> = vector(field, 4) { start, count ->
        List(count) { bytes.getInt(start + 4 * it) }
    } ?: emptyList()

    fun bytes(field: Int): ByteArray? = vector(field, 1) { start, count ->
        ByteArray(count).also { slice(start).get(it) }
    }

    /** Where a vector of bytes ends: it is all there. */
    fun end(field: Int): Int? = vector(field, 1) { start, count -> start + count }

    private fun slice(start: Int): ByteBuffer {
        val view = bytes.duplicate()
        view.position(start)
        return view
    }

    /** The position of a field, counted from 0 in the schema. */
    private fun at(field: Int): Int? {
        val slot = 4 + 2 * field
        if (slot + 2 > vtableSize) return null
        val offset = bytes.getShort(vtable + slot).toInt() and 0xffff
        return if (offset == 0) null else position + offset
    }

    private fun <T> vector(field: Int, size: Int, read: (Int, Int) -> T): T? {
        val start = follow(bytes, at(field) ?: return null)
        val count = int32(bytes, start).toLong() and 0xffffffffL
        inside(bytes, start + 4L, count * size)
        return read(start + 4, count.toInt())
    }

    companion object {
        /** The table that a whole buffer begins with. */
        fun root(bytes: ByteBuffer): Table {
            val little = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN)
            return Table(little, follow(little, 0))
        }

        private fun inside(bytes: ByteBuffer, position: Long, size: Long): Int {
            val limit = bytes.limit()
            if (position < 0 || position + size > limit) {
                throw OutOfBounds("${position + size} of $limit bytes")
            }
            return position.toInt()
        }

        private fun int32(bytes: ByteBuffer, position: Int): Int =
            bytes.getInt(inside(bytes, position.toLong(), 4))

        /** What an offset points at; it counts from its own place. */
        private fun follow(bytes: ByteBuffer, position: Int): Int {
            val offset = int32(bytes, position).toLong() and 0xffffffffL
            return inside(bytes, position + offset, 4)
        }
    }
}
