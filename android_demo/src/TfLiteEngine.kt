package org.dlakeras.demo

import com.sun.jna.Library
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.Structure
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The functions of TensorFlow Lite's C interface that are called. */
interface Lite : Library {
    fun TfLiteModelCreate(data: Pointer, size: Long): Pointer?
    fun TfLiteModelDelete(model: Pointer)
    fun TfLiteInterpreterOptionsCreate(): Pointer
    fun TfLiteInterpreterOptionsSetNumThreads(options: Pointer, threads: Int)
    fun TfLiteInterpreterOptionsAddDelegate(options: Pointer, delegate: Pointer)
    fun TfLiteInterpreterOptionsDelete(options: Pointer)
    fun TfLiteInterpreterCreate(model: Pointer, options: Pointer): Pointer?
    fun TfLiteInterpreterDelete(interpreter: Pointer)
    fun TfLiteInterpreterAllocateTensors(interpreter: Pointer): Int
    fun TfLiteInterpreterInvoke(interpreter: Pointer): Int
    fun TfLiteInterpreterGetInputTensor(interpreter: Pointer, index: Int): Pointer
    fun TfLiteInterpreterGetOutputTensor(interpreter: Pointer, index: Int): Pointer
    fun TfLiteTensorByteSize(tensor: Pointer): Long
    fun TfLiteTensorData(tensor: Pointer): Pointer
    fun TfLiteXNNPackDelegateOptionsDefault(): XnnpackOptions
    fun TfLiteXNNPackDelegateCreate(options: Pointer): Pointer
    fun TfLiteXNNPackDelegateDelete(delegate: Pointer)
}

/** The beginning of XNNPACK's options; the rest stays as it was given. */
class XnnpackOptions : Structure(), Structure.ByValue {
    @JvmField var threads = 0
    @JvmField var rest = IntArray(63) // more than there is

    override fun getFieldOrder() = listOf("threads", "rest")
}

/**
 * TensorFlow Lite on the CPU with XNNPACK, for phones and for this machine's
 * tests alike: the same functions of the same version.
 *
 * @throws ModelError if it refuses the file
 */
class TfLiteEngine(private val model: ByteBuffer, threads: Int) : Engine {
    private val lite = library
    private val created = ArrayList<() -> Unit>() // undone in the other order
    private val interpreter: Pointer
    private val input: Pointer

    init {
        try {
            val data = Native.getDirectBufferPointer(model)
            val file = made(lite.TfLiteModelCreate(data, model.limit().toLong())) {
                lite.TfLiteModelDelete(it)
            }
            val options = made(lite.TfLiteInterpreterOptionsCreate()) {
                lite.TfLiteInterpreterOptionsDelete(it)
            }
            lite.TfLiteInterpreterOptionsSetNumThreads(options, threads)
            // This build does not add it by itself, and integer kernels that
            // round otherwise would give other masks than Python's.
            lite.TfLiteInterpreterOptionsAddDelegate(options, xnnpack(threads))
            interpreter = made(lite.TfLiteInterpreterCreate(file, options)) {
                lite.TfLiteInterpreterDelete(it)
            }
            check(lite.TfLiteInterpreterAllocateTensors(interpreter))
            input = lite.TfLiteInterpreterGetInputTensor(interpreter, 0)
        } catch (error: Throwable) {
            close()
            throw error
        }
    }

    private fun xnnpack(threads: Int): Pointer {
        val options = lite.TfLiteXNNPackDelegateOptionsDefault()
        options.threads = threads
        options.write()
        return made(lite.TfLiteXNNPackDelegateCreate(options.pointer)) {
            lite.TfLiteXNNPackDelegateDelete(it)
        }
    }

    private fun made(pointer: Pointer?, undo: (Pointer) -> Unit): Pointer {
        if (pointer == null) throw refused()
        created.add { undo(pointer) }
        return pointer
    }

    private fun check(status: Int) {
        if (status != 0) throw refused()
    }

    private fun refused() = ModelError(
        "TensorFlow Lite refuses it: it has an operation that this app's version" +
            " does not know, or is damaged.",
    )

    override fun run(input: ByteArray) {
        lite.TfLiteTensorData(this.input).write(0, input, 0, input.size)
        check(lite.TfLiteInterpreterInvoke(interpreter))
    }

    override fun output(index: Int): ByteBuffer {
        val tensor = lite.TfLiteInterpreterGetOutputTensor(interpreter, index)
        return lite.TfLiteTensorData(tensor)
            .getByteBuffer(0, lite.TfLiteTensorByteSize(tensor))
            .order(ByteOrder.nativeOrder())
    }

    override fun close() {
        while (created.isNotEmpty()) created.removeAt(created.size - 1)()
    }

    companion object {
        /** Where the library lies inside the APK, for phones whose linker looks nowhere else. */
        var place: String? = null

        private val library: Lite by lazy {
            try {
                Native.load("jnitensorflowlite", Lite::class.java)
            } catch (error: UnsatisfiedLinkError) {
                Native.load(place ?: throw error, Lite::class.java)
            }
        }
    }
}
