package org.dlakeras.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.ImageFormat
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.util.Size
import android.graphics.BitmapFactory
import android.graphics.Canvas
import android.net.Uri
import android.os.Build
import android.os.Looper
import android.view.MotionEvent
import android.view.View
import android.view.ViewGroup
import android.widget.SeekBar
import android.widget.TextView
import java.io.ByteArrayOutputStream
import java.io.File
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.ShadowDialog
import org.robolectric.shadows.StreamConfigurationMapBuilder

private const val PHONE = "w411dp-h891dp-port-420dpi"

/** The whole screen with the real interpreter, on Android's own classes. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [26, 34], qualifiers = PHONE) // the oldest that may install it, and a recent one
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreenTest {
    private val feed = FakeFeed()
    private lateinit var controller: ActivityController<MainActivity>
    private val activity get() = controller.get()
    private val root: View get() = activity.window.decorView

    private fun open(parts: MainActivity.Parts = MainActivity.Parts(feed = { _, _ -> feed })) {
        MainActivity.parts = parts
        controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        await("the sample") { "The sample:" in said() }
    }

    @After
    fun close() {
        if (::controller.isInitialized) controller.pause().stop().destroy()
    }

    private fun views(view: View): List<View> = listOf(view) +
        ((view as? ViewGroup)?.let { group ->
            (0 until group.childCount).flatMap { views(group.getChildAt(it)) }
        } ?: emptyList())

    /** What a reader sees written. */
    private fun said(): String = views(root).filterIsInstance<TextView>()
        .filter { it.isShown }.joinToString("\n") { it.text }

    private inline fun <reified T : View> view() = views(root).filterIsInstance<T>().first()

    private fun tap(label: String) {
        views(root).filterIsInstance<TextView>().first { it.text.toString() == label }.performClick()
        shadowOf(Looper.getMainLooper()).idle()
    }

    private fun await(what: String, done: () -> Boolean) {
        val end = System.nanoTime() + 60_000_000_000
        while (true) {
            shadowOf(Looper.getMainLooper()).idle()
            if (done()) return
            assertTrue("$what did not come. On the screen: ${said()}", System.nanoTime() < end)
            Thread.sleep(5)
        }
    }

    private fun drawn(view: View = root): Bitmap {
        shadowOf(Looper.getMainLooper()).idle()
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(bitmap))
        return bitmap
    }

    /** For a person to look at; here only that something is drawn. */
    private fun screenshot(name: String, view: View = root) {
        val bitmap = drawn(view)
        // Of the newer Android: Robolectric's older window keeps its size when it is turned.
        if (Build.VERSION.SDK_INT == 34) {
            val folder = File("build/screenshots").apply { mkdirs() }
            File(folder, "$name.png").outputStream().use {
                bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)
            }
        }
        assertTrue("$name is plain", colors(bitmap).size > 20)
    }

    private fun colors(bitmap: Bitmap): Set<Int> {
        val pixels = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        return pixels.toSet()
    }

    private fun grant() =
        shadowOf(RuntimeEnvironment.getApplication()).grantPermissions(Manifest.permission.CAMERA)

    private fun startCamera() {
        grant()
        tap("Camera")
        assertTrue(feed.running)
    }

    @Test
    fun `it begins with a segmented sample, before any permission`() {
        open()
        val text = said()
        assertTrue(text, Regex("The app's own: DLA-46-C-Up, int8, 96 × 192, 19 classes").containsMatchIn(text))
        assertTrue(text, "sky" in text && "road" in text && " %" in text)
        assertTrue(text, Regex("prepare .* ms · inference .* ms · result .* ms").containsMatchIn(text))
        assertEquals(null, shadowOf(activity).lastRequestedPermission)
        assertFalse(feed.running)
        val stage = view<StageView>()
        assertTrue(stage.contentDescription.toString(), "road" in stage.contentDescription)
        screenshot("portrait")
    }

    @Test
    fun `each control has words for TalkBack and a finger's size`() {
        open()
        val unit = activity.resources.displayMetrics.density
        for (view in views(root).filter { it.isClickable && it.isShown && it !is StageView }) {
            val words = view.contentDescription ?: (view as? TextView)?.text
            assertTrue("$view says nothing", !words.isNullOrBlank())
            assertTrue("$words is ${view.height / unit} dp high", view.height >= 48 * unit - 1)
        }
    }

    @Test
    fun `the sample's mask is Python's`() {
        open()
        val bytes = ModelStore(activity).bytes(ModelStore.BUNDLED)
        assertTrue(bytes.isDirect)
        assertEquals(Fixtures.model("int8-96x192"), bytes)
    }

    @Test
    fun `landscape puts the panel beside the picture, and nothing is lost`() {
        open()
        RuntimeEnvironment.setQualifiers("+land")
        controller.configurationChange()
        shadowOf(Looper.getMainLooper()).idle()
        val stage = view<StageView>()
        val panel = view<Panel>()
        assertTrue("${stage.right} ${panel.left}", stage.right <= panel.left)
        assertTrue(said(), "The sample:" in said() && "road" in said())
        screenshot("landscape")
    }

    @Test
    fun `by night it is dark`() {
        // The order of qualifiers is Android's: night comes before the density.
        RuntimeEnvironment.setQualifiers("w411dp-h891dp-port-night-420dpi")
        open()
        val corner = drawn().getPixel(10, root.height - 10)
        assertTrue(Integer.toHexString(corner), corner and 0xff < 0x40)
        screenshot("night")
    }

    @Test
    fun `the camera is asked for when it is wanted, and refused twice`() {
        open()
        val permission = Manifest.permission.CAMERA
        val packages = shadowOf(activity.packageManager)
        fun refuse(again: Boolean) {
            tap("Camera")
            val asked = shadowOf(activity).lastRequestedPermission
            assertEquals(permission, asked.requestedPermissions.single())
            packages.setShouldShowRequestPermissionRationale(permission, again)
            activity.onRequestPermissionsResult(asked.requestCode, arrayOf(permission), intArrayOf(-1))
        }
        refuse(again = true)
        assertTrue(said(), "asked again" in said())
        assertFalse("Settings" in said())
        refuse(again = false)
        assertTrue(said(), "refused for good" in said())
        tap("Settings")
        val intent = shadowOf(activity).nextStartedActivity
        assertEquals("package:org.dlakeras.demo", intent.dataString)
        assertFalse(feed.running)
        screenshot("refused")
    }

    @Test
    fun `frames become masks, and each is given back once`() {
        open()
        startCamera()
        val sources = mutableListOf<FakeSource>()
        fun frame() {
            val source = FakeSource(180).also { sources += it }
            feed.use(source)
            await("a frame's end") { source.closed > 0 }
        }
        repeat(10) { frame() }
        // The figures are renewed a few times a second, and a camera goes on meanwhile.
        await("the rate") { frame(); "frames a second" in said() }
        assertEquals(sources.map { 1 }, sources.map { it.closed })
        assertTrue(said(), "dimmed" in said())
        screenshot("live")
        tap("Stop")
        assertFalse(feed.running)
        assertTrue(said(), "The camera is off" in said())
    }

    @Test
    fun `a frame that comes while another one is at work is dropped`() {
        open()
        startCamera()
        val first = FakeSource(90)
        feed.use(first)
        while (first.closed == 0) Thread.sleep(1) // the screen was not told yet
        val second = FakeSource(90)
        feed.use(second)
        feed.use(null)
        while (second.closed == 0) Thread.sleep(1)
        await("the meter") { "dropped" in said() || feed.handler().hasNoWork() }
        feed.use(FakeSource(90))
        await("two dropped") { "2 dropped" in said() || run { feed.use(FakeSource(90)); false } }
    }

    @Test
    fun `an engine that throws gives its frame back and stops the camera`() {
        var broken = false
        open(
            MainActivity.Parts(
                engine = { bytes, threads ->
                    val engine = TfLiteEngine(bytes, threads)
                    object : Engine by engine {
                        override fun run(input: ByteArray) {
                            check(!broken) { "broken" }
                            engine.run(input)
                        }
                    }
                },
                feed = { _, _ -> feed },
            ),
        )
        startCamera()
        broken = true
        val source = FakeSource(0)
        feed.use(source)
        await("a sentence") { "The camera stopped." in said() }
        assertEquals(1, source.closed)
        assertFalse(feed.running)
    }

    @Test
    fun `the camera ends when the app is left, and begins on return`() {
        open()
        startCamera()
        controller.pause().stop()
        assertFalse(feed.running)
        controller.restart().start().resume()
        shadowOf(Looper.getMainLooper()).idle()
        assertTrue(feed.running)
    }

    @Test
    fun `a phone without a camera says so`() {
        open(MainActivity.Parts())
        grant()
        tap("Camera")
        await("a sentence") { "This phone has no camera. Open a picture instead." in said() }
        assertTrue("Camera" in said().lines())
    }

    private fun addCamera(facing: Int, sizes: List<Size>) {
        val traits = ShadowCameraCharacteristics.newCameraCharacteristics()
        val map = StreamConfigurationMapBuilder.newBuilder()
        sizes.forEach { map.addOutputSize(ImageFormat.YUV_420_888, it) }
        shadowOf(traits).run {
            set(CameraCharacteristics.LENS_FACING, facing)
            set(CameraCharacteristics.SENSOR_ORIENTATION, 90)
            set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, map.build())
        }
        val manager = RuntimeEnvironment.getApplication().getSystemService(CameraManager::class.java)
        shadowOf(manager).addCamera("$facing", traits)
    }

    /** Robolectric has no camera device for Android 8. */
    @Config(sdk = [34])
    @Test
    fun `a camera that another app takes, and one without sizes`() {
        addCamera(CameraCharacteristics.LENS_FACING_BACK, listOf(Size(640, 480), Size(1920, 1080)))
        addCamera(CameraCharacteristics.LENS_FACING_FRONT, emptyList())
        open(MainActivity.Parts())
        grant()
        tap("Camera")
        await("the camera") { "The camera runs" in said() && "Other camera" in said() }
        shadowOf(activity.getSystemService(CameraManager::class.java)).triggerDisconnect()
        await("a sentence") { "Another app took the camera. Start it again." in said() }
        assertTrue("Camera" in said().lines())
        tap("Camera")
        await("the camera again") { "The camera runs" in said() }
        tap("Other camera")
        await("a sentence") { "no pictures that can be read" in said() }
    }

    private fun choose(name: String, request: Int, bytes: ByteArray) {
        val uri = Uri.parse("content://documents/$name")
        shadowOf(activity.contentResolver).registerInputStreamSupplier(uri) { bytes.inputStream() }
        val picked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(request, picked.requestCode)
        shadowOf(activity).receiveResult(picked.intent, Activity.RESULT_OK, Intent().setData(uri))
    }

    private fun openModel(name: String, bytes: ByteArray) {
        tap("Model")
        val sheet = ShadowDialog.getLatestDialog().window!!.decorView
        views(sheet).filterIsInstance<TextView>().first { it.text.startsWith("Open another") }.performClick()
        choose(name, 3, bytes)
    }

    @Test
    fun `models are imported, kept, and refused in a sentence`() {
        open()
        openModel("letter.tflite", Fixtures.bytes("faults/letter.tflite"))
        await("the refusal") { "letter.tflite cannot be used. It is no .tflite file" in said() }
        assertTrue(said(), "The app's own: DLA-46-C-Up" in said())
        screenshot("error")
        assertEquals(listOf(ModelStore.BUNDLED), ModelStore(activity).list())
        openModel("unknown.tflite", Fixtures.bytes("faults/unknown-operation.tflite"))
        await("the runtime's refusal") { "TensorFlow Lite refuses it" in said() }
        openModel("small.tflite", Fixtures.bytes("models/float32-64x96.tflite"))
        await("the new model") { "small.tflite: DLA-46-C-Up, float32, 64 × 96" in said() }
        assertFalse(said(), "cannot be used" in said())
        assertEquals(listOf(ModelStore.BUNDLED, "small.tflite"), ModelStore(activity).list())
        tap("Model")
        val sheet = ShadowDialog.getLatestDialog().window!!.decorView
        screenshot("models", sheet)
        // It is still there after the app was closed.
        controller.pause().stop().destroy()
        open()
        await("the model that was kept") { "small.tflite: DLA-46-C-Up" in said() }
        tap("Model")
        views(ShadowDialog.getLatestDialog().window!!.decorView).filterIsInstance<TextView>()
            .first { it.text.toString() == "Remove" }.performClick()
        await("the bundled model") { "The app's own: DLA-46-C-Up" in said() }
        assertEquals(listOf(ModelStore.BUNDLED), ModelStore(activity).list())
    }

    @Test
    fun `a classifier's file lists its likeliest classes`() {
        open()
        openModel("classes.tflite", Fixtures.bytes("others/classifier.tflite"))
        await("the classifier") { "classes.tflite: DLA-46-C, float32" in said() }
        await("its classes") { Regex("The sample: street \\d").containsMatchIn(said()) }
        assertEquals(5, Regex("^street \\d$", RegexOption.MULTILINE).findAll(said()).count())
        screenshot("classes")
    }

    @Test
    fun `a detector's file shows boxes, their numbers, and how sure they are`() {
        open()
        val bars = views(root).filterIsInstance<SeekBar>()
        val (opacity, score) = bars
        assertEquals(listOf(true, false), bars.map { it.isShown })
        openModel("boxes.tflite", Fixtures.bytes("others/boxes-int8-pad.tflite"))
        await("the detector") { "boxes.tflite: DLA-46-C-Up, int8, 64 × 96, 3 classes" in said() }
        await("its boxes") { Regex("The sample: \\d+ (car|person|light)").containsMatchIn(said()) }
        assertEquals(listOf(false, true), bars.map { it.isShown })
        assertEquals(30, score.progress) // the file says no better one
        fun count() = Regex("^\\d+$", RegexOption.MULTILINE).findAll(said()).sumOf { it.value.toInt() }
        val many = count()
        val stage = view<StageView>()
        val before = drawn(stage)
        assertTrue("$many", many > 10)
        screenshot("boxes")
        score.progress = 80
        assertTrue("${count()} of $many", count() in 1 until many)
        assertFalse(before.sameAs(drawn(stage)))
        score.progress = 100
        assertEquals(0, count())
        assertTrue(said(), "The sample: nothing at this score." in said())
        // Saved is what is seen: the picture, and over it what is left.
        val plain = stage.snapshot()!!
        score.progress = 30
        assertFalse(plain.sameAs(stage.snapshot()))
        assertEquals(60, opacity.progress)
        val least = Found(0f, 0f, 1f, 1f, 0, 0.3f)
        assertTrue(above(listOf(least), stage.leastScore).isNotEmpty())
    }

    @Test
    fun `a picture from the gallery is segmented, and a letter is not`() {
        open()
        tap("Picture")
        choose("street.png", 2, Fixtures.bytes("pictures/int8-96x192-2.png"))
        await("the picture") { "street.png: " in said() }
        tap("Picture")
        choose("letter.png", 2, Fixtures.bytes("faults/letter.png"))
        await("the refusal") { "letter.png cannot be shown. It is no picture" in said() }
    }

    @Test
    fun `opacity changes what is drawn`() {
        open()
        val bar = view<SeekBar>()
        val stage = view<StageView>()
        bar.progress = 0
        val without = colors(drawn(stage))
        bar.progress = 100
        val mask = colors(drawn(stage))
        // A mask alone has its classes' colours and the black around it.
        assertTrue("${mask.size}", mask.size <= 15)
        assertTrue("${without.size}", without.size > 100)
    }

    @Test
    fun `what is saved is Python's overlay`() {
        open()
        tap("Picture")
        choose("street.png", 2, Fixtures.bytes("pictures/int8-96x192-2.png"))
        await("the picture") { "street.png: " in said() }
        view<SeekBar>().progress = 60
        tap("Save")
        val uri = Uri.parse("content://documents/mask.png")
        val written = ByteArrayOutputStream()
        shadowOf(activity.contentResolver).registerOutputStream(uri, written)
        val picked = shadowOf(activity).nextStartedActivityForResult
        shadowOf(activity).receiveResult(picked.intent, Activity.RESULT_OK, Intent().setData(uri))
        await("the file") { "Saved." in said() }
        val bitmap = BitmapFactory.decodeByteArray(written.toByteArray(), 0, written.size())
        val argb = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        val rgb = ByteArray(3 * argb.size).also { toRgb(argb, it) }
        assertTrue(rgb.contentEquals(Fixtures.bytes("pictures/int8-96x192-2.overlay")))
    }

    @Test
    fun `a touch names the class below it`() {
        open()
        val stage = view<StageView>()
        fun touch(action: Int) {
            val event = MotionEvent.obtain(0, 0, action, stage.width / 2f, stage.height / 2f + 60, 0)
            stage.dispatchTouchEvent(event)
        }
        touch(MotionEvent.ACTION_DOWN)
        assertTrue("${stage.pointed}", stage.pointed!! in said())
        touch(MotionEvent.ACTION_UP)
        assertEquals(null, stage.pointed)
    }
}

/** A camera that a test holds. */
private class FakeFeed : Feed {
    var running = false
    private var frames: (FrameSource?) -> Unit = {}
    private val thread = android.os.HandlerThread("camera")
    private val worker by lazy { thread.start(); android.os.Handler(thread.looper) }

    fun handler() = worker

    fun use(source: FrameSource?) {
        worker.post { frames(source) }
    }

    override fun sees(front: Boolean) = true

    override fun start(
        front: Boolean, facts: ModelFacts, use: (FrameSource?) -> Unit, onFailed: (String) -> Unit,
    ) {
        running = true
        frames = use
    }

    override fun stop() {
        running = false
    }
}

private fun android.os.Handler.hasNoWork() = !hasMessages(0)

private class FakeSource(degrees: Int) : FrameSource {
    override val frame = Fixtures.frame("padded")
    override val turn = Turn(degrees, false)

    @Volatile var closed = 0

    override fun close() {
        closed++
    }
}
