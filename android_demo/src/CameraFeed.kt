@file:Suppress("DEPRECATION") // what replaced it is newer than API 26

package org.dlakeras.demo

import android.content.Context
import android.graphics.ImageFormat
import android.hardware.DataSpace
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Build
import android.os.Handler
import android.os.Looper
import android.util.Log
import android.view.WindowManager

/** Where live frames come from. */
interface Feed {
    /** Whether there is a camera that looks the other way too. */
    fun sees(front: Boolean): Boolean

    /**
     * @param use takes each newest frame, or null for one that was passed over
     * @param onFailed is told a sentence; the feed has stopped
     */
    fun start(front: Boolean, facts: ModelFacts, use: (FrameSource?) -> Unit, onFailed: (String) -> Unit)

    fun stop()
}

private const val FRAMES = 3 // in the reader: one at work, one ready, one filled

/**
 * The phone's cameras, without a preview: the screen draws the very frames
 * that the network saw. All but the frames comes on the screen's thread.
 *
 * @param handler of the thread that frames are used on
 */
class CameraFeed(private val context: Context, private val handler: Handler) : Feed {
    private val manager = context.getSystemService(CameraManager::class.java)!!
    private val display = context.getSystemService(WindowManager::class.java)!!.defaultDisplay
    private var camera: CameraDevice? = null
    private var reader: ImageReader? = null
    private val main = Handler(Looper.getMainLooper())
    private var turns = 0 // who began last; an older camera is closed when it opens

    override fun sees(front: Boolean): Boolean = try {
        find(front) != null
    } catch (error: Exception) {
        false
    }

    private fun find(front: Boolean): String? {
        val facing =
            if (front) CameraCharacteristics.LENS_FACING_FRONT else CameraCharacteristics.LENS_FACING_BACK
        return manager.cameraIdList.find {
            manager.getCameraCharacteristics(it).get(CameraCharacteristics.LENS_FACING) == facing
        }
    }

    override fun start(
        front: Boolean, facts: ModelFacts, use: (FrameSource?) -> Unit, onFailed: (String) -> Unit,
    ) {
        stop()
        val turn = ++turns
        val fail = { sentence: String ->
            if (turn == turns) {
                stop()
                onFailed(sentence)
            }
        }
        try {
            val id = find(front) ?: find(!front)
                ?: return fail("This phone has no camera. Open a picture instead.")
            open(id, facts, use, { turn == turns }, fail)
        } catch (error: SecurityException) {
            fail("The camera may not be used: ${error.message}.")
        } catch (error: CameraAccessException) {
            fail(sentence(error))
        }
    }

    private fun open(
        id: String, facts: ModelFacts, use: (FrameSource?) -> Unit, current: () -> Boolean,
        fail: (String) -> Unit,
    ) {
        val traits = manager.getCameraCharacteristics(id)
        val sensor = traits.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 90
        val front = traits.get(CameraCharacteristics.LENS_FACING) ==
            CameraCharacteristics.LENS_FACING_FRONT
        val turn = { turn(sensor, 90 * display.rotation, front) }
        val sizes = traits.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
            ?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().map { it.width to it.height }
        val (width, height) = chooseSize(sizes, facts.width, facts.height, turn().swaps)
            ?: return fail("The camera gives no pictures that can be read (YUV_420_888).")
        val frames = frames(width, height, turn, use)
        reader = frames
        manager.openCamera(id, object : CameraDevice.StateCallback() {
            override fun onOpened(device: CameraDevice) {
                if (!current()) return device.close()
                camera = device
                try {
                    begin(device, frames, fail)
                } catch (error: CameraAccessException) {
                    fail(sentence(error))
                } catch (error: IllegalStateException) {
                    fail("The camera was closed while it started.")
                }
            }

            override fun onDisconnected(device: CameraDevice) {
                device.close()
                fail("Another app took the camera. Start it again.")
            }

            override fun onError(device: CameraDevice, error: Int) {
                device.close()
                fail(sentence(error))
            }
        }, main)
    }

    private fun frames(
        width: Int, height: Int, turn: () -> Turn, use: (FrameSource?) -> Unit,
    ): ImageReader {
        val frames = ImageReader.newInstance(width, height, ImageFormat.YUV_420_888, FRAMES)
        var told = Build.VERSION.SDK_INT < 33 // older phones do not say
        frames.setOnImageAvailableListener({
            // Older frames are given back by this; its calls for them find none.
            val image = it.acquireLatestImage()
            if (image != null && !told) {
                told = true
                logColors(image)
            }
            use(image?.let { ImageFrame(image, turn()) })
        }, handler)
        return frames
    }

    /** For whoever sees wrong colours: the app takes them for JFIF's. */
    @Newer
    private fun logColors(image: Image) {
        val jfif = image.dataSpace == DataSpace.DATASPACE_JFIF
        Log.i("dla", "The camera's data space is ${image.dataSpace}, JFIF: $jfif")
    }

    private fun begin(device: CameraDevice, frames: ImageReader, fail: (String) -> Unit) {
        val request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW).apply {
            addTarget(frames.surface)
            set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_VIDEO)
        }.build()
        device.createCaptureSession(
            listOf(frames.surface),
            object : CameraCaptureSession.StateCallback() {
                override fun onConfigured(session: CameraCaptureSession) {
                    try {
                        session.setRepeatingRequest(request, null, main)
                    } catch (error: CameraAccessException) {
                        fail(sentence(error))
                    } catch (error: IllegalStateException) {
                        // It was stopped in between.
                    }
                }

                override fun onConfigureFailed(session: CameraCaptureSession) =
                    fail("The camera cannot give pictures of this size.")
            },
            main,
        )
    }

    override fun stop() {
        turns++
        camera?.close()
        camera = null
        // After the frame at work, whose memory it is.
        reader?.let { handler.post(it::close) }
        reader = null
    }

    private fun sentence(error: CameraAccessException) = when (error.reason) {
        CameraAccessException.CAMERA_DISABLED -> "The camera is switched off on this phone."
        CameraAccessException.CAMERA_IN_USE, CameraAccessException.MAX_CAMERAS_IN_USE ->
            "Another app uses the camera. Close it, then start again."
        else -> "The camera could not be started: ${error.message}."
    }

    private fun sentence(error: Int) = when (error) {
        CameraDevice.StateCallback.ERROR_CAMERA_DISABLED -> "The camera is switched off on this phone."
        CameraDevice.StateCallback.ERROR_CAMERA_IN_USE,
        CameraDevice.StateCallback.ERROR_MAX_CAMERAS_IN_USE ->
            "Another app uses the camera. Close it, then start again."
        else -> "The camera failed (error $error). Start it again, or restart the phone."
    }
}

/** A frame in the camera's own memory. */
private class ImageFrame(private val image: Image, override val turn: Turn) : FrameSource {
    override val frame: Frame
        get() {
            val (y, u, v) = image.planes
            return Frame(
                image.width, image.height, y.buffer, u.buffer, v.buffer,
                y.rowStride, u.rowStride, u.pixelStride,
            )
        }

    override fun close() = image.close()
}
