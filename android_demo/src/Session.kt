package org.dlakeras.demo

import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import java.nio.ByteBuffer

/**
 * The thread that models run on, one picture after the other. What it finds is
 * told on the screen's thread.
 */
class Session(private val open: OpenEngine, private val screen: Screen) {
    interface Screen {
        fun onModel(name: String, facts: ModelFacts)

        /** Arrays of a live result are filled anew after this returns. */
        fun onResult(result: Result, live: Boolean)

        fun onDropped()

        /** @param sentence why, or null where there is nothing more to say */
        fun onFailed(sentence: String, live: Boolean)
    }

    private val thread = HandlerThread("segmenter").apply { start() }
    private val main = Handler(Looper.getMainLooper())
    private var segmenter: Segmenter? = null

    // Whether the screen still looks at the last frame.
    @Volatile private var shown = true

    /** Where cameras and files are at work too, so that nothing overlaps. */
    val handler = Handler(thread.looper)

    /**
     * Runs another model; the one before goes on where that fails.
     *
     * @param load reads the file, and says why it cannot
     * @param keep is called once it has answered
     */
    fun useModel(name: String, threads: Int, load: () -> ByteBuffer, keep: () -> Unit = {}) {
        attempt("$name cannot be used. ", false) {
            val bytes = load()
            val opened = Segmenter(checkModel(bytes), bytes, threads, open)
            keep()
            segmenter?.close()
            segmenter = opened
            main.post { screen.onModel(name, opened.facts) }
        }
    }

    /** Segments a still picture that is read first. */
    fun segment(name: String, read: () -> Picture) {
        attempt("$name cannot be shown. ", false) {
            val model = segmenter ?: throw ModelError("No model is loaded yet.")
            val picture = read()
            val result = model.segment(picture.argb, picture.width, picture.height)
            main.post { screen.onResult(result, false) }
        }
    }

    /**
     * Segments a camera's newest frame and gives it back, whatever happens.
     * Called on this thread.
     *
     * @param source the frame, or null where a newer one was taken before
     */
    fun take(source: FrameSource?) {
        try {
            val model = segmenter
            if (source == null || !shown || model == null) {
                main.post { screen.onDropped() }
                return
            }
            val result = model.segment(source.frame, source.turn)
            shown = false
            main.post {
                screen.onResult(result, true)
                shown = true
            }
        } catch (error: Throwable) {
            fail("The camera stopped. ", error, true)
        } finally {
            source?.close()
        }
    }

    private fun attempt(context: String, live: Boolean, work: () -> Unit) {
        handler.post {
            try {
                work()
            } catch (error: Throwable) {
                fail(context, error, live)
            }
        }
    }

    private fun fail(context: String, error: Throwable, live: Boolean) {
        val sentence = context + reason(error)
        main.post { screen.onFailed(sentence, live) }
    }

    fun close() {
        handler.post { segmenter?.close() }
        thread.quitSafely()
    }
}

/** A camera's frame, which is given back once it was looked at. */
interface FrameSource : AutoCloseable {
    val frame: Frame
    val turn: Turn

    override fun close()
}

/** A sentence for what went wrong. */
fun reason(error: Throwable): String = when (error) {
    is ModelError, is PictureError -> error.message.orEmpty()
    is OutOfMemoryError -> "The phone has too little memory for it."
    is UnsatisfiedLinkError, is NoClassDefFoundError ->
        "TensorFlow Lite does not load on this phone: it needs a 64-bit ARM" +
            " processor. It says: ${error.message}."
    is SecurityException, is java.io.IOException ->
        "The file cannot be read: ${error.message ?: error.javaClass.simpleName}."
    else -> "${error.javaClass.simpleName}: ${error.message ?: "unknown"}."
}
