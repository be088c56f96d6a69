"""Quality in the tools by which people keep their photos. Each file needs the package of one of them."""
