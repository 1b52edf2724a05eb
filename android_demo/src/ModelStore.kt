package org.dlakeras.demo

import android.content.Context
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

private const val MAX_BYTES = 200_000_000L
private const val ASSET = "model.tflite"

/** The model files on this phone: the one in the APK, and those opened once. */
class ModelStore(private val context: Context) {
    private val folder = File(context.filesDir, "models")

    /** Names; the bundled one is the first. */
    fun list(): List<String> =
        listOf(BUNDLED) + folder.list { _, name -> !name.endsWith(PART) }.orEmpty().sorted()

    /** The bytes of a file, mapped where that can be. */
    fun bytes(name: String): ByteBuffer =
        if (name == BUNDLED) bundled() else mapped(File(folder, name))

    private fun bundled(): ByteBuffer = try {
        context.assets.openFd(ASSET).use { asset ->
            FileInputStream(asset.fileDescriptor).channel.map(
                FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.length,
            )
        }
    } catch (error: IOException) {
        // It is compressed, in an APK that something else packed.
        val bytes = context.assets.open(ASSET).use { it.readBytes() }
        ByteBuffer.allocateDirect(bytes.size).also { it.put(bytes); it.rewind() }
    }

    private fun mapped(file: File): ByteBuffer = FileInputStream(file).use {
        it.channel.map(FileChannel.MapMode.READ_ONLY, 0, file.length())
    }

    /** Copies a file here, which is not listed before [keep]. */
    fun copy(name: String, source: InputStream): ByteBuffer {
        folder.mkdirs()
        val part = File(folder, name + PART)
        try {
            part.outputStream().use { target -> copyBounded(source, target) }
            if (part.length() == 0L) throw ModelError("It is empty.")
            return mapped(part)
        } catch (error: Exception) {
            part.delete()
            throw error
        }
    }

    private fun copyBounded(source: InputStream, target: java.io.OutputStream) {
        val buffer = ByteArray(1 shl 16)
        var copied = 0L
        while (true) {
            val count = source.read(buffer)
            if (count < 0) return
            copied += count
            if (copied > MAX_BYTES) throw ModelError("It has more than 200 MB.")
            target.write(buffer, 0, count)
        }
    }

    fun keep(name: String) {
        File(folder, name + PART).renameTo(File(folder, name))
    }

    /** Throws away what was copied and not kept. */
    fun tidy() {
        folder.listFiles { file -> file.name.endsWith(PART) }.orEmpty().forEach { it.delete() }
    }

    fun remove(name: String) {
        File(folder, name).delete()
    }

    companion object {
        const val BUNDLED = "The app's own"
        private const val PART = ".part"
    }
}
