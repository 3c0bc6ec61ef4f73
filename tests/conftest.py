"""Fixtures for all tests. Importing pointkit first names Keras's backend, so that tests may import keras before it."""

import pointkit  # noqa: F401
