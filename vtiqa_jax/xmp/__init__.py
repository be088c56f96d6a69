"""Stars in XMP: sidecars and JPEGs that other programs read, in which nothing but the stars is changed.

XMP is RDF in XML, and never serialised here. `rdf` finds where each element stands, byte for byte, `contents` which are
the photo's, `packet` what they say; `splice` puts stars between them and takes them out again. `sidecars` and `jpeg`
know where packets are kept, `place` and `write` change the files, each whole or not at all.
"""
