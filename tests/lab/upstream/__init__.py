"""An upstream of a test's own: what a bundle is built from, under the names that the real one has."""
