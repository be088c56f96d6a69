"""What people install: `vtiqa-jax`, or `vtiqa-onnx`, whose build copies parts of this package under another name."""

DISTRIBUTION = __name__.partition(".")[0].replace("_", "-")
