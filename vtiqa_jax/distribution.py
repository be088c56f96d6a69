"""The installed distribution: `vtiqa-jax`, or `vtiqa-onnx`, whose build copies parts of this package."""

DISTRIBUTION = __name__.partition(".")[0].replace("_", "-")
