"""`python -m validator.recorder`."""

import sys

from . import main

sys.exit(main())
