"""The same `.tflite` file in every runtime that phones and boards have."""
