package org.dlakeras.demo

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import java.io.InputStream

private const val MAX_PIXELS = 12e6 // as the web page

/** A picture that cannot be shown; its message is a sentence. */
class PictureError(message: String) : Exception(message)

/** 0xAARRGGBB, row after row. */
class Picture(val argb: IntArray, val width: Int, val height: Int)

/**
 * Reads a picture file: upright, and shrunk to 12 million pixels if it has more.
 *
 * @param open opens its bytes, three times
 * @throws PictureError with a sentence
 */
fun readPicture(open: () -> InputStream): Picture {
    val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    open().use { BitmapFactory.decodeStream(it, null, bounds) }
    val pixels = bounds.outWidth.toDouble() * bounds.outHeight
    if (bounds.outWidth <= 0 || bounds.outHeight <= 0) throw undecodable()
    val options = BitmapFactory.Options().apply {
        inPreferredConfig = Bitmap.Config.ARGB_8888
        inScaled = false
        // A first shrinking while decoding, which takes the least memory.
        inSampleSize = 1
        while (pixels / inSampleSize / inSampleSize > 4 * MAX_PIXELS) inSampleSize *= 2
    }
    val decoded = open().use { BitmapFactory.decodeStream(it, null, options) }
        ?: throw undecodable()
    val upright = upright(decoded, open().use(::orientation))
    val argb = IntArray(upright.width * upright.height)
    upright.getPixels(argb, 0, upright.width, 0, 0, upright.width, upright.height)
    return Picture(argb, upright.width, upright.height)
}

fun readPicture(resolver: ContentResolver, uri: Uri): Picture = readPicture {
    resolver.openInputStream(uri) ?: throw java.io.FileNotFoundException(uri.toString())
}

private fun undecodable() = PictureError("It is no picture that this phone can read.")

private fun orientation(stream: InputStream): Int = try {
    ExifInterface(stream).getAttributeInt(
        ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL,
    )
} catch (error: java.io.IOException) {
    ExifInterface.ORIENTATION_NORMAL // formats without EXIF
}

private fun upright(bitmap: Bitmap, orientation: Int): Bitmap {
    val scale = Math.sqrt(MAX_PIXELS / (bitmap.width.toDouble() * bitmap.height)).toFloat()
    val matrix = Matrix()
    when (orientation) {
        ExifInterface.ORIENTATION_FLIP_HORIZONTAL -> matrix.setScale(-1f, 1f)
        ExifInterface.ORIENTATION_ROTATE_180 -> matrix.setRotate(180f)
        ExifInterface.ORIENTATION_FLIP_VERTICAL -> matrix.setScale(1f, -1f)
        ExifInterface.ORIENTATION_TRANSPOSE -> { matrix.setRotate(90f); matrix.postScale(-1f, 1f) }
        ExifInterface.ORIENTATION_ROTATE_90 -> matrix.setRotate(90f)
        ExifInterface.ORIENTATION_TRANSVERSE -> { matrix.setRotate(270f); matrix.postScale(-1f, 1f) }
        ExifInterface.ORIENTATION_ROTATE_270 -> matrix.setRotate(270f)
    }
    if (scale < 1) matrix.postScale(scale, scale)
    if (matrix.isIdentity) return bitmap
    return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, matrix, scale < 1)
}
