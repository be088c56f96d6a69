"""Models out: as ONNX and StableHLO programs, and as a page that scores photos in a browser."""
