"""The lab: a site of throw-away machines on one computer."""
