"""Data, from files to batches: images, manifests and data sets, splits, stored pixels, batches on the devices."""
