package org.dlakeras.demo

import java.nio.ByteBuffer
import java.nio.charset.CodingErrorAction
import java.security.MessageDigest
import java.util.Locale
import org.json.JSONArray
import org.json.JSONObject

/** A file that the app refuses; its message is a sentence for the reader. */
class ModelError(message: String) : Exception(message)

/** A class with its colour, 0xAARRGGBB; classifiers have no colours. */
data class ClassFacts(val name: String, val color: Int)

/** What an output of a file holds, in the words of its facts. */
enum class Kind(val word: String) {
    MASK("class_ids"),
    LOGITS("logits"),
    BOUNDARY("boundary"),
    PROBABILITIES("probabilities"),
    BOXES("boxes"),
    BOX_CLASSES("box_classes"),
    BOX_SCORES("box_scores"),
}

private val OF_BOXES = listOf(Kind.BOXES, Kind.BOX_CLASSES, Kind.BOX_SCORES)

/** An output that the app draws: its place among the outputs, and its numbers. */
data class Output(
    val index: Int,
    val kind: Kind,
    val type: String,
    val scale: Double,
    val zeroPoint: Int,
)

/** What a file says about itself: everything that the app shows of a model. */
data class ModelFacts(
    val name: String,
    val precision: String,
    val classes: List<ClassFacts>,
    val height: Int,
    val width: Int,
    val padColor: Int,
    val fit: String,
    val maxSide: Int?,
    val cropFraction: Double?,
    val outputs: List<Output>,
    val score: String?,
    val threshold: Float?,
) {
    /** The mask, or the scores that a mask is made of. */
    val pixels = outputs.find { it.kind == Kind.MASK || it.kind == Kind.LOGITS }
    val boundary = outputs.find { it.kind == Kind.BOUNDARY }
    val probabilities = outputs.find { it.kind == Kind.PROBABILITIES }

    /** Sides, classes and scores of boxes; of other files none. */
    val boxes = OF_BOXES.mapNotNull { kind -> outputs.find { it.kind == kind } }
    val detects get() = boxes.isNotEmpty()

    /** For instance "DLA-46-C-Up, int8, 192 × 384, 14 classes". */
    val description: String
        get() = listOfNotNull(
            name, precision, "$height × $width",
            if (classes.isEmpty()) null else "${classes.size} classes", score,
        ).joinToString(", ")
}

private const val IDENTIFIER = "TFL3" // bytes 4 to 8
private const val END = "PK\u0005\u0006" // the record that ends a ZIP archive
private const val END_SIZE = 22
private val NO_DIGEST = "0".repeat(64)
private const val FACTS_NAME = "DLA_KERAS"
private const val FACTS_FORMAT = 1
private const val EXPORT = "Export it with dla-keras export-tflite"

// Field numbers of the TFLite schema.
private const val MODEL_SUBGRAPHS = 2
private const val MODEL_BUFFERS = 4
private const val MODEL_METADATA = 6
private const val SUBGRAPH_TENSORS = 0
private const val SUBGRAPH_INPUTS = 1
private const val SUBGRAPH_OUTPUTS = 2
private const val TENSOR_SHAPE = 0
private const val TENSOR_TYPE = 1
private const val TENSOR_SIGNATURE = 7
private val TYPES = listOf(
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16",
    "complex64", "int8", "float64", "complex128", "uint64", "resource",
    "variant", "uint32", "uint16", "int4", "bfloat16",
)

/** What stands at a place of the facts, in words and as a function. */
private class Rule(val expected: String, val holds: (Any?) -> Boolean)

private fun isWhole(value: Any?) = value is Int || value is Long

private fun isShare(value: Any?) = value is Number && value.toDouble() in 0.0..1.0

private fun isLine(value: Any?) = value is String && value.isNotBlank() && value.none {
    it.category in listOf(
        CharCategory.CONTROL, CharCategory.LINE_SEPARATOR, CharCategory.PARAGRAPH_SEPARATOR,
    )
}

private fun isColor(value: Any?) = value is JSONArray && value.length() == 3 &&
    elements(value).all { isWhole(it) && (it as Number).toLong() in 0..255 }

private fun isSize(value: Any?) = isWhole(value) && (value as Number).toLong() in 1..32768

private fun elements(list: JSONArray): List<Any?> = List(list.length(), list::opt)

private val LINE = Rule("a line of text", ::isLine)
private val OBJECT = Rule("an object") { it is JSONObject }
private val SIZE = Rule("a whole number from 1 to 32768", ::isSize)
private val SHARE = Rule("a number from 0 to 1", ::isShare)
private val COLOR = Rule("three whole numbers from 0 to 255", ::isColor)
private val DIGEST = Regex("[0-9a-f]{64}")

// What facts can be; it is `RULES` of dla_keras/inference/tflite_facts.py. "[]"
// is each of a list; what ends in "?" may be missing or null, with tasks' names
// in their files only.
private val RULES = listOf(
    "task" to LINE,
    "name" to LINE,
    "precision" to LINE,
    "input" to OBJECT,
    "input.height" to SIZE,
    "input.width" to SIZE,
    "input.channels" to LINE,
    "input.range" to Rule("two whole numbers") {
        it is JSONArray && it.length() == 2 && elements(it).all(::isWhole)
    },
    "input.pad_color?classification" to COLOR,
    "input.fit?" to LINE,
    "input.max_side?" to SIZE,
    "input.crop_fraction?" to Rule("a number above 0 and at most 1") {
        isShare(it) && (it as Number).toDouble() > 0
    },
    "outputs" to Rule("a list") { it is JSONArray && it.length() > 0 },
    "outputs[]" to OBJECT,
    "outputs[].kind" to LINE,
    "outputs[].scale?" to Rule("a number above 0") {
        it is Number && it.toDouble() > 0 && it.toDouble().isFinite()
    },
    "outputs[].zero_point?" to Rule("a whole number", ::isWhole),
    "classes" to Rule("a list") { it is JSONArray },
    "classes[]" to OBJECT,
    "classes[].name" to LINE,
    "classes[].color?boundary classification" to COLOR,
    "metrics?" to OBJECT,
    "metrics.miou?" to SHARE,
    "metrics.top1?" to SHARE,
    "metrics.ap50?" to SHARE,
    "metrics.best?" to OBJECT,
    "metrics.best.threshold?" to SHARE,
    "digest?" to Rule("64 hexadecimal digits") { it is String && DIGEST.matches(it) },
)

private class Tensor(val type: String, val shape: List<Int>, val signature: List<Int>)

private class Content(
    val facts: JSONObject?, val inputs: List<Tensor>, val outputs: List<Tensor>,
)

/**
 * Reads a file and checks that the app can run it, before an interpreter does.
 *
 * @throws ModelError with a sentence for the reader
 */
fun checkModel(bytes: ByteBuffer): ModelFacts {
    val content = readModel(bytes)
    checkTensors(content.inputs, content.outputs)
    val facts = content.facts ?: throw ModelError(
        "It says nothing about its classes and colours: it holds no facts of" +
            " dla_keras. $EXPORT of a current version.",
    )
    return checkFacts(facts, content).also {
        checkEnd(bytes, it)
        checkDigest(bytes, facts.optString("digest"))
    }
}

private fun readModel(bytes: ByteBuffer): Content {
    val begins = bytes.limit() >= 8 &&
        IDENTIFIER.indices.all { bytes.get(4 + it).toInt() == IDENTIFIER[it].code }
    if (!begins) throw ModelError("It is no .tflite file: it does not begin like one.")
    try {
        return parse(Table.root(bytes))
    } catch (error: OutOfBounds) {
        throw cutShort(bytes)
    }
}

private fun cutShort(bytes: ByteBuffer) = ModelError(
    "It is cut short or damaged: it has ${bytes.limit()} bytes, and more should" +
        " follow. Copy or export it again.",
)

/** A file with classes ends with a ZIP archive of their names. */
private fun checkEnd(bytes: ByteBuffer, facts: ModelFacts) {
    if (facts.classes.isEmpty()) return
    val at = bytes.limit() - END_SIZE
    if (at < 0 || END.indices.any { bytes.get(at + it).toInt() != END[it].code }) {
        throw cutShort(bytes)
    }
}

/**
 * A file's facts hold the digest of its bytes, counted with zeros in its place:
 * a flipped bit would give other masks without a word.
 */
private fun checkDigest(bytes: ByteBuffer, digest: String) {
    if (digest.length != NO_DIGEST.length || digest == NO_DIGEST) return
    val whole = ByteArray(bytes.limit()).also { bytes.duplicate().apply { rewind() }.get(it) }
    val place = whole.lastIndexOf(digest.toByteArray())
    NO_DIGEST.toByteArray().copyInto(whole, place)
    val found = MessageDigest.getInstance("SHA-256").digest(whole)
    if (found.joinToString("") { "%02x".format(it) } != digest) {
        throw ModelError(
            "It is not what the exporter wrote: it was damaged or changed since. Copy it" +
                " again, or export it anew.",
        )
    }
}

private fun ByteArray.lastIndexOf(part: ByteArray): Int {
    var at = size - part.size
    while (at >= 0 && part.indices.any { this[at + it] != part[it] }) at--
    return at
}

private fun parse(model: Table): Content {
    // Weights lie in the buffers: reading each one's extent finds a file whose
    // end is missing.
    val buffers = model.tables(MODEL_BUFFERS)
    buffers.forEach { it.end(0) }
    val subgraph = model.tables(MODEL_SUBGRAPHS).firstOrNull()
        ?: throw ModelError("It holds no network.")
    val tensors = subgraph.tables(SUBGRAPH_TENSORS)
    fun pick(field: Int) = subgraph.int32s(field).map { index ->
        describe(tensors.getOrNull(index) ?: throw OutOfBounds("tensor $index"))
    }
    val entry = model.tables(MODEL_METADATA).find {
        it.bytes(0)?.let { name -> String(name) } == FACTS_NAME
    }
    val facts = entry?.let {
        val number = it.uint32(1)
        if (number >= buffers.size) throw OutOfBounds("buffer $number")
        buffers[number.toInt()].bytes(0)
    }
    return Content(
        facts?.let(::parseFacts), pick(SUBGRAPH_INPUTS), pick(SUBGRAPH_OUTPUTS),
    )
}

private fun describe(tensor: Table): Tensor {
    val shape = tensor.int32s(TENSOR_SHAPE)
    val signature = tensor.int32s(TENSOR_SIGNATURE)
    val type = TYPES.getOrElse(tensor.int8(TENSOR_TYPE)) { "unknown" }
    return Tensor(type, shape, signature.ifEmpty { shape })
}

private fun parseFacts(content: ByteArray): JSONObject = try {
    val decoder = Charsets.UTF_8.newDecoder()
        .onMalformedInput(CodingErrorAction.REPORT)
    val text = decoder.decode(ByteBuffer.wrap(content)).toString().trim()
    // Anything but an object has no format.
    if (text.startsWith("{")) JSONObject(text) else JSONObject()
} catch (error: Throwable) { // lists in lists without end overflow the stack
    throw ModelError(
        "Its facts ($FACTS_NAME) are damaged: they are no JSON. Export it again.",
    )
}

private fun checkTensors(inputs: List<Tensor>, outputs: List<Tensor>) {
    if (inputs.size != 1 || outputs.isEmpty()) {
        throw ModelError(
            "It should take one picture and give a mask or boxes. It has ${inputs.size}" +
                " inputs and ${outputs.size} outputs.",
        )
    }
    val image = inputs[0]
    if (-1 in image.signature || -1 in outputs[0].signature) {
        throw ModelError(
            "Its size is left open (a dynamic batch, height or width), and the app" +
                " needs it fixed. $EXPORT, which fixes it.",
        )
    }
    for ((tensor, verb) in listOf(image to "takes", outputs[0] to "gives")) {
        if (tensor.type == "int8") {
            throw ModelError(
                "It $verb int8 numbers, and pictures have none. $EXPORT: its int8" +
                    " files take and give uint8.",
            )
        }
    }
    val picture = image.shape.size == 4 && image.shape[0] == 1 && image.shape[3] == 3
    if (image.type != "uint8" || !picture) {
        throw ModelError(
            "It should take one RGB picture as uint8 (1, height, width, 3). It" +
                " takes ${image.type} (${image.shape.joinToString()}).",
        )
    }
}

private fun checkFacts(facts: JSONObject, content: Content): ModelFacts {
    if (facts.opt("format") != FACTS_FORMAT) {
        throw ModelError(
            "Its facts are of format ${shown(facts.opt("format"))}; this app reads format" +
                " $FACTS_FORMAT. Update the app, or export the model again.",
        )
    }
    RULES.forEach { (path, rule) -> checkRule(facts, path, rule) }
    val input = facts.getJSONObject("input")
    val range = input.getJSONArray("range").join(" to ")
    val pixels = "${input.getString("channels")} $range"
    if (pixels != "RGB 0 to 255") {
        throw ModelError("It takes pixels as $pixels; this app gives RGB 0 to 255.")
    }
    // Files of earlier versions do not say.
    val fit = if (input.isNull("fit")) FITS[0] else input.getString("fit")
    if (fit !in FITS) {
        throw ModelError(
            "It wants other pictures brought to its size by \"$fit\"; this app knows" +
                " ${FITS.joinToString()}. Update the app.",
        )
    }
    val task = facts.getString("task")
    val outputs = outputsOf(facts, content.outputs)
    val kinds = outputs.map { it.kind }
    val complete = if (task == "detection") kinds.containsAll(OF_BOXES) else {
        kinds.any { taskOf(it) == task }
    }
    if (!complete) {
        val given = elements(facts.getJSONArray("outputs"))
            .joinToString { (it as JSONObject).getString("kind") }
        throw ModelError(
            "It is made for $task and gives $given; this app draws masks, boundaries," +
                " boxes and classes.",
        )
    }
    val classes = classesOf(facts, task)
    val (_, height, width) = content.inputs[0].shape
    outputs.forEach { checkShape(it, content, classes.size, input) }
    return ModelFacts(
        facts.getString("name"), facts.getString("precision"), classes, height, width,
        input.optJSONArray("pad_color")?.let(::color) ?: 0,
        fit, input.optInt("max_side").takeIf { it > 0 },
        input.optDouble("crop_fraction").takeUnless { it.isNaN() }, outputs,
        scoreOf(facts.optJSONObject("metrics")),
        facts.optJSONObject("metrics")?.optJSONObject("best")?.optDouble("threshold")
            ?.takeUnless { it.isNaN() }?.toFloat(),
    )
}

private fun checkRule(facts: JSONObject, path: String, rule: Rule) {
    val (keys, tasks) = path.split("?").let { it[0] to it.getOrNull(1) }
    val free = tasks != null && (tasks.isEmpty() || facts.opt("task") in tasks.split(" "))
    var found: List<Pair<String, Any?>> = listOf("" to facts)
    for (step in keys.split(".")) {
        val key = step.removeSuffix("[]")
        found = found.map { (place, inside) ->
            (if (place.isEmpty()) key else "$place.$key") to (inside as? JSONObject)?.opt(key)
        }
        if (key == step) continue
        found = found.flatMap { (place, list) ->
            elements(list as JSONArray).mapIndexed { index, each -> "$place[$index]" to each }
        }
    }
    for ((place, value) in found) {
        val missing = value == null || value == JSONObject.NULL
        if (rule.holds(value) || (free && missing)) continue
        throw wrong(place, rule.expected, shown(value))
    }
}

private fun wrong(place: String, expected: String, found: String) = ModelError(
    "Its facts are wrong: $place should be $expected; it is $found. $EXPORT again.",
)

/** A value in a few words: what lies in it may be deep. */
private fun shown(value: Any?): String = when (value) {
    null -> "missing"
    is JSONObject -> "an object"
    is JSONArray -> "a list of ${value.length()}"
    is String -> "\"${value.take(60).replace('\n', ' ')}\""
    else -> "$value"
}

private fun taskOf(kind: Kind) = when (kind) {
    Kind.MASK, Kind.LOGITS -> "segmentation"
    Kind.BOUNDARY -> "boundary"
    Kind.PROBABILITIES -> "classification"
    Kind.BOXES, Kind.BOX_CLASSES, Kind.BOX_SCORES -> "detection"
}

private fun classesOf(facts: JSONObject, task: String): List<ClassFacts> {
    val classes = elements(facts.getJSONArray("classes")).map {
        val entry = it as JSONObject
        ClassFacts(entry.getString("name"), entry.optJSONArray("color")?.let(::color) ?: 0)
    }
    val ofPixels = task == "segmentation" || task == "boundary"
    val least = when (task) {
        "boundary" -> 0
        "detection" -> 1
        else -> 2
    }
    val most = if (ofPixels) 256 else Int.MAX_VALUE
    if (classes.size !in least..most) {
        val words = if (ofPixels) " and at most $most" else ""
        throw wrong("classes", "a list of at least $least$words", "${classes.size}")
    }
    // A thousand classes may have two of one name, as ImageNet's have.
    if (ofPixels && classes.distinctBy { it.name }.size < classes.size) {
        throw wrong("classes", "a list of different names", "one with a name twice")
    }
    return classes
}

private fun color(levels: JSONArray): Int {
    val (red, green, blue) = List(3) { levels.getInt(it) }
    return OPAQUE or (red shl 16) or (green shl 8) or blue
}

private fun outputsOf(facts: JSONObject, tensors: List<Tensor>): List<Output> {
    val entries = facts.getJSONArray("outputs")
    return List(entries.length()) { index ->
        val entry = entries.getJSONObject(index)
        val kind = Kind.values().find { it.word == entry.getString("kind") }
        kind?.let {
            Output(
                index, it, tensors.getOrNull(index)?.type ?: "nothing",
                entry.optDouble("scale", 1.0), entry.optInt("zero_point"),
            )
        }
    }.filterNotNull()
}

private fun checkShape(output: Output, content: Content, classes: Int, input: JSONObject) {
    val (_, height, width) = content.inputs[0].shape
    val boxes = content.outputs.getOrNull(output.index)?.shape?.getOrNull(1) ?: 0
    val expected = when (output.kind) {
        Kind.MASK, Kind.BOUNDARY -> listOf(1, height, width)
        Kind.LOGITS -> listOf(1, height, width, classes)
        Kind.PROBABILITIES -> listOf(1, classes)
        Kind.BOXES -> listOf(1, boxes, 4)
        Kind.BOX_CLASSES, Kind.BOX_SCORES -> listOf(1, boxes)
    }
    val found = content.outputs.getOrNull(output.index)
    val types = when (output.kind) {
        Kind.MASK -> listOf("uint8")
        in OF_BOXES -> listOf("float32")
        else -> listOf("uint8", "float32")
    }
    val sizes = input.getInt("height") to input.getInt("width")
    if (found?.shape != expected || sizes != height to width || output.type !in types) {
        throw ModelError(
            "Its facts and its network differ: an output of (${expected.joinToString()})" +
                " was expected, it is ${output.type}" +
                " (${found?.shape.orEmpty().joinToString()}), for pictures of" +
                " ${sizes.first} x ${sizes.second}. $EXPORT again.",
        )
    }
}

private fun scoreOf(metrics: JSONObject?): String? {
    val names = listOf("miou" to "mIoU", "ods" to "ODS", "top1" to "top-1", "ap50" to "AP50")
    for ((key, label) in names) {
        val value = metrics?.optDouble(key) ?: continue
        if (!value.isNaN()) return "$label ${"%.3f".format(Locale.ROOT, value)} before export"
    }
    return null
}
