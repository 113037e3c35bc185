"""What the lab serves in the place of upstream, built once on this machine and cached."""
