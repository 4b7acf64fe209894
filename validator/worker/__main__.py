"""Captures what models do, inside the environment under test: `python -I <this folder>`, requests on stdin.

Contract: docs/protocol.md. The folder stands alone: standard library, numpy, the environment's own Keras.
"""

import sys

if sys.version_info < (3, 9):  # before any import that newer syntax could break
    sys.exit("the worker needs Python 3.9 or newer, this is " + sys.version.split()[0])

from keras_capture.wire.guard import guard

if __name__ == "__main__":
    guard()  # before the first import that starts threads: it forks

    from keras_capture.main import main

    main(sys.argv[1:])
