"""Stars in XMP: sidecars and JPEGs that other programs read, in which nothing but the stars is changed.

XMP is RDF in XML. It is never serialised here: `rdf` finds where each thing stands, byte for byte, `packet` puts stars
between and takes them out again, `sidecars` and `jpeg` know where packets are kept, `files` writes them and takes them
back.
"""
