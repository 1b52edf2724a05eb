package org.dlakeras.demo

import java.io.Closeable
import java.nio.ByteBuffer

/** Runs one model. */
interface Engine : Closeable {
    /** @param input RGB of the network's size */
    fun run(input: ByteArray)

    /** The numbers of an output after [run], in this machine's order. */
    fun output(index: Int): ByteBuffer
}

/** How an engine is opened: bytes that stay as they are, and threads. */
typealias OpenEngine = (ByteBuffer, Int) -> Engine
