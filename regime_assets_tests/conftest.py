"""Tests never touch the user's data folder, and count on one thread for equal bits."""

import os
import tempfile

os.environ["REGIME_ASSETS_HOME"] = tempfile.mkdtemp(prefix="regime-assets-tests-")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
