package androidx.test.platform.app

import android.app.Instrumentation
import android.os.Bundle

// What Robolectric calls of androidx.test:monitor, which Maven Central lacks;
// so in the files beside this one. Nobody listens: calls end here.

@Suppress("UNUSED_PARAMETER")
object InstrumentationRegistry {
    private var instance: Instrumentation? = null

    @JvmStatic
    fun registerInstance(instrumentation: Instrumentation?, arguments: Bundle?) {
        instance = instrumentation
    }

    @JvmStatic
    fun getInstrumentation(): Instrumentation = instance!!
}
