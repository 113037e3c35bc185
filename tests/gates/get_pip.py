"""Put pip into the virtual environment that runs this, from the package index alone.

ansible-test fetches a bootstrap script from a host of its own, which is not reached from everywhere.
It takes this one from its cache instead.
"""

import subprocess
import sys

packages = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(
    [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True
)
