"""The faults that reasons name, in the order of the model's outputs. Read without JAX."""

NATIVE_FAULTS = ("defocus", "motion", "luminance_noise", "chroma_noise", "compression", "enlarged")
"""Seen at a photo's own pixels."""
SCREEN_FAULTS = ("too_dark", "clipped_highlights", "low_contrast", "colour_cast")
"""Seen in the photo as a screen shows it."""
FAULTS = NATIVE_FAULTS + SCREEN_FAULTS
FALSE_ALARMS = (0.005, 0.01, 0.02, 0.05, 0.1)
"""Shares of good photos for which thresholds are kept: any reason at all is named wrongly in so many of them."""
