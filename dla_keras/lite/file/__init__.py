"""The inside of a `.tflite` file: read, edited, described."""
