"""HTTP: the tree of resources, the limits of a request, and how answers are written."""
