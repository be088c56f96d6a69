"""The common part of the two pages: JavaScript, and the joining of modules to one script."""
