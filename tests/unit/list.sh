#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the table of all functions named test_... in the files given.
names=$(sed -n 's/^\(test_[a-z0-9_]*\)(void)$/\1/p' "$@")
echo '#include "unit.h"'
for n in $names; do echo "void $n(void);"; done
echo 'const struct unit_test unit_tests[] = {'
for n in $names; do echo "	{ \"$n\", $n },"; done
echo '	{ NULL, NULL }'
echo '};'
