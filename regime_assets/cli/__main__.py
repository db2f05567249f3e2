"""`python -m regime_assets.cli`."""

import sys

from regime_assets.cli import main

sys.exit(main())
