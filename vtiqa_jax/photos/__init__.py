"""Photos on disk: which files are photos, their pixels, the sizes and views that models see. Imports no JAX."""

import os

# Before cv2 is imported: what it would print about broken files is said by our own errors.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
