@file:Suppress("DEPRECATION") // what replaced it is newer than API 26

package org.dlakeras.demo

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.content.pm.PackageManager
import android.content.res.Configuration
import android.graphics.Bitmap
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.os.Handler
import android.provider.OpenableColumns
import android.provider.Settings
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.view.WindowInsets
import android.widget.LinearLayout

private const val CAMERA_PERMISSION = 1
private const val PICTURE = 2
private const val MODEL = 3
private const val SAVE = 4
private const val MAX_THREADS = 4 // more gain little in networks of this size
private const val LEAST_SCORE = 0.3f // of boxes, where the file says none
private const val REFRESH = 250_000_000L // ns; digits that change faster cannot be read

/** Marks what calls a newer API than 26, behind a look at the phone's. */
annotation class Newer

/** The screen: a model, something to look at, and the result. */
class MainActivity : Activity(), Session.Screen, Actions {
    private lateinit var session: Session
    private lateinit var feed: Feed
    private lateinit var store: ModelStore
    private lateinit var stage: StageView
    private lateinit var panel: Panel
    private val meter = Meter()
    private var facts: ModelFacts? = null
    private var model = ModelStore.BUNDLED
    private var wanted = ModelStore.BUNDLED // who was asked for last
    private var still = "The sample"
    private var readStill: () -> Picture = ::sample
    private var live = false
    private var resumes = false // whether the camera ran when the app was left
    private var front = false
    private var threads = 2
    private var opacity = 0.6f
    private var leastScore = LEAST_SCORE
    private var status = ""
    private var refreshed = 0L
    private var last: Result? = null
    private var lastAlert: String? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        TfLiteEngine.place =
            "${applicationInfo.sourceDir}!/lib/arm64-v8a/libjnitensorflowlite.so"
        store = ModelStore(this)
        session = Session(parts.engine, this)
        feed = parts.feed(this, session.handler)
        val kept = getPreferences(MODE_PRIVATE)
        threads = kept.getInt("threads", 2)
        front = kept.getBoolean("front", false)
        resumes = state?.getBoolean("live") ?: false
        build()
        val name = kept.getString("model", null)
        // The bundled one first: what was kept may have gone bad.
        useModel(ModelStore.BUNDLED)
        if (name != null && name != ModelStore.BUNDLED) useModel(name)
    }

    /** Makes the views anew, for this orientation and time of day. */
    private fun build() {
        stage = StageView(this)
        panel = Panel(this, this)
        val upright = resources.configuration.orientation != Configuration.ORIENTATION_LANDSCAPE
        val root = LinearLayout(this).apply {
            orientation = if (upright) LinearLayout.VERTICAL else LinearLayout.HORIZONTAL
            setBackgroundColor(Look(context).back)
            setOnApplyWindowInsetsListener { view, insets -> pad(view, insets) }
        }
        if (upright) {
            root.addView(stage, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT))
            root.addView(panel, LinearLayout.LayoutParams(MATCH_PARENT, 0, 1f))
        } else {
            root.addView(stage, LinearLayout.LayoutParams(0, MATCH_PARENT, 1.4f))
            root.addView(panel, LinearLayout.LayoutParams(0, MATCH_PARENT, 1f))
        }
        setContentView(root)
        if (Look(this).light) {
            window.decorView.systemUiVisibility = View.SYSTEM_UI_FLAG_LIGHT_STATUS_BAR
        }
        panel.setThreads(threads)
        panel.setOpacity(opacity)
        panel.setLive(live, twoCameras())
        panel.setStatus(status)
        panel.fail(lastAlert)
        facts?.let { panel.setModel(model, it) }
        panel.setLeastScore(leastScore)
        stage.opacity = opacity
        stage.leastScore = leastScore
        last?.let(::draw)
    }

    /** Keeps controls clear of bars and of the camera's hole. */
    private fun pad(view: View, insets: WindowInsets): WindowInsets {
        val sides = intArrayOf(
            insets.systemWindowInsetLeft, insets.systemWindowInsetTop,
            insets.systemWindowInsetRight, insets.systemWindowInsetBottom,
        )
        if (Build.VERSION.SDK_INT >= 28) widen(sides, insets)
        view.setPadding(sides[0], sides[1], sides[2], sides[3])
        return insets.consumeSystemWindowInsets()
    }

    @Newer
    private fun widen(sides: IntArray, insets: WindowInsets) {
        val hole = insets.displayCutout ?: return
        val safe = intArrayOf(
            hole.safeInsetLeft, hole.safeInsetTop, hole.safeInsetRight, hole.safeInsetBottom,
        )
        for (side in sides.indices) sides[side] = maxOf(sides[side], safe[side])
    }

    override fun onConfigurationChanged(changed: Configuration) {
        super.onConfigurationChanged(changed)
        build()
    }

    override fun onStart() {
        super.onStart()
        if (resumes && mayUseCamera() && facts != null) startCamera()
    }

    override fun onStop() {
        resumes = live
        if (live) stopCamera()
        super.onStop()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putBoolean("live", live || resumes)
    }

    override fun onDestroy() {
        feed.stop()
        session.close()
        super.onDestroy()
    }

    // Models

    private fun useModel(name: String) {
        wanted = name
        session.useModel(name, threads, { store.bytes(name) })
    }

    override fun onModel(name: String, facts: ModelFacts) {
        this.facts = facts
        model = name
        meter.reset()
        getPreferences(MODE_PRIVATE).edit().putString("model", name).putInt("threads", threads).apply()
        panel.setModel(name, facts)
        panel.setThreads(threads)
        last = null // of another model
        panel.setLeastScore(facts.threshold ?: LEAST_SCORE)
        fail(null)
        if (live) return startCamera() // at the size that this network takes
        if (resumes && mayUseCamera()) return startCamera()
        showStill(still, readStill)
    }

    override fun showModels() {
        val dialog = AlertDialog.Builder(this).setTitle("Models").create()
        dialog.setView(ModelSheet(this, store, model, object : ModelSheet.Choice {
            override fun use(name: String) {
                dialog.dismiss()
                useModel(name)
            }

            override fun remove(name: String) {
                dialog.dismiss()
                store.remove(name)
                if (name == model) useModel(ModelStore.BUNDLED)
            }

            override fun open() {
                dialog.dismiss()
                pick(MODEL, "*/*") // .tflite has no type of its own
            }
        }))
        dialog.show()
    }

    override fun changeThreads() {
        threads = threads % MAX_THREADS + 1
        panel.setThreads(threads)
        useModel(model)
    }

    // Pictures

    private fun sample(): Picture = readPicture { assets.open("sample.png") }

    private fun showStill(name: String, read: () -> Picture) {
        if (live) stopCamera()
        still = name
        readStill = read
        meter.reset()
        session.segment(name, read)
    }

    override fun onResult(result: Result, live: Boolean) {
        if (live != this.live) return // it was overtaken
        val facts = facts ?: return
        last = result
        meter.add(result.timing, System.nanoTime())
        draw(result)
        if (!live) {
            status = "$still: ${summary(facts, result, leastScore)}"
            panel.setStatus(status)
        }
    }

    private fun draw(result: Result) {
        val facts = facts ?: return
        stage.show(result, facts.classes)
        val now = System.nanoTime()
        if (live && now - refreshed < REFRESH) return
        refreshed = now
        panel.setResult(facts, result, leastScore)
        panel.setMeter(meter)
        stage.contentDescription = "$still. ${summary(facts, result, leastScore)}"
    }

    override fun onDropped() {
        meter.dropped++
    }

    override fun onFailed(sentence: String, live: Boolean) {
        if (live && !this.live) return
        if (live) stopCamera()
        fail(sentence)
    }

    private fun fail(sentence: String?, label: String? = null, act: () -> Unit = {}) {
        lastAlert = sentence
        panel.fail(sentence, label, act)
    }

    override fun openPicture() = pick(PICTURE, "image/*")

    private fun pick(request: Int, type: String) {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE)
        begin(intent.setType(type), request)
    }

    override fun save() {
        if (last == null) return fail("There is nothing to save yet.")
        val intent = Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE)
        val name = if (facts?.detects == true) "boxes.png" else "mask.png"
        begin(intent.setType("image/png").putExtra(Intent.EXTRA_TITLE, name), SAVE)
    }

    private fun begin(intent: Intent, request: Int) = try {
        if (request == SAVE) saved = stage.snapshot()
        startActivityForResult(intent, request)
    } catch (error: android.content.ActivityNotFoundException) {
        fail("This phone has no app that opens or saves files.")
    }

    private var saved: Bitmap? = null // as it was when Save was tapped

    override fun onActivityResult(request: Int, code: Int, data: Intent?) {
        super.onActivityResult(request, code, data)
        val uri = data?.data
        if (code != RESULT_OK || uri == null) return
        when (request) {
            PICTURE -> {
                resumes = false
                showStill(nameOf(uri)) { readPicture(contentResolver, uri) }
            }
            MODEL -> import(uri)
            SAVE -> write(uri)
        }
    }

    private fun nameOf(uri: Uri): String {
        val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
        val name = try {
            contentResolver.query(uri, columns, null, null, null)?.use {
                if (it.moveToFirst()) it.getString(0) else null
            }
        } catch (error: RuntimeException) {
            null // a provider that knows no names
        }
        return (name ?: uri.lastPathSegment ?: "file").substringAfterLast('/')
    }

    private fun import(uri: Uri) {
        val name = nameOf(uri)
        session.useModel(
            name, threads,
            {
                val stream = contentResolver.openInputStream(uri)
                    ?: throw java.io.FileNotFoundException(name)
                stream.use { store.copy(name, it) }
            },
            { store.keep(name) },
        )
        session.handler.post(store::tidy)
    }

    private fun write(uri: Uri) {
        val bitmap = saved ?: return
        saved = null
        session.handler.post {
            val sentence = try {
                contentResolver.openOutputStream(uri)!!.use {
                    bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)
                }
                null
            } catch (error: Exception) {
                "The picture could not be saved. " + reason(error)
            }
            Handler(mainLooper).post {
                if (sentence == null) panel.setStatus("Saved.") else fail(sentence)
            }
        }
    }

    override fun setOpacity(share: Float) {
        opacity = share
        stage.opacity = share
    }

    override fun setLeastScore(share: Float) {
        leastScore = share
        stage.leastScore = share
        val facts = facts ?: return
        val result = last ?: return
        panel.setResult(facts, result, share)
        if (!live) panel.setStatus("$still: ${summary(facts, result, share)}")
    }

    // Camera

    private fun mayUseCamera() =
        checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private fun twoCameras() = feed.sees(true) && feed.sees(false)

    override fun toggleCamera() {
        if (live) {
            stopCamera()
            status = "The camera is off."
            panel.setStatus(status)
        } else if (facts == null) {
            fail("No model is loaded yet: choose one first.")
        } else if (mayUseCamera()) {
            startCamera()
        } else {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), CAMERA_PERMISSION)
        }
    }

    override fun turnCamera() {
        front = !front
        getPreferences(MODE_PRIVATE).edit().putBoolean("front", front).apply()
        if (live) startCamera()
    }

    private fun startCamera() {
        val facts = facts ?: return
        fail(null)
        meter.reset()
        live = true
        resumes = false
        status = "The camera runs; the dimmed part is not looked at."
        panel.setStatus(status)
        panel.setLive(true, twoCameras())
        feed.start(front, facts, session::take) { sentence ->
            stopCamera()
            fail(sentence)
        }
    }

    private fun stopCamera() {
        live = false
        feed.stop()
        panel.setLive(false, false)
    }

    override fun onRequestPermissionsResult(
        request: Int, permissions: Array<out String>, results: IntArray,
    ) {
        if (results.firstOrNull() == PackageManager.PERMISSION_GRANTED) return startCamera()
        if (results.isEmpty()) return // interrupted, not answered
        if (shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)) {
            fail("Without the camera, pictures can still be opened. Tap Camera to be asked again.")
        } else {
            fail(
                "The camera was refused for good: Android does not ask again. Allow it" +
                    " in the app's settings, or open a picture.",
                "Settings",
            ) {
                val intent = Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS)
                startActivity(intent.setData(Uri.fromParts("package", packageName, null)))
            }
        }
    }

    /** What the screen is made of; tests put other parts in. */
    class Parts(
        val engine: OpenEngine = ::TfLiteEngine,
        val feed: (Activity, Handler) -> Feed = ::CameraFeed,
    )

    companion object {
        var parts = Parts()
    }
}
