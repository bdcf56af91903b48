#!/bin/sh
# Run in the container, in this directory, before anything else starts there.
# When it fails the container ends: better than serving half of what it should.
set -eu
