#!/bin/sh
# SPDX-License-Identifier: MIT
# Each handler through the same router, child and limits as in service.
# A row: the status of `ufop process` (0, or not), its output or a part of its
# message, the cmd, and what is sent.
cd "$(dirname "$0")" || exit 2
ufop=${UFOP:-ufop}
passed=0 failed=0

while IFS='	' read -r want output cmd body; do
	got=$(printf '%b' "$body" | "$ufop" process "$cmd" - 2>&1)
	status=$?
	[ "$status" -ne 0 ] && status=fail || status=ok
	case $status:$got in
	"$want:"*"$output"*)
		passed=$((passed + 1)) ;;
	*)
		failed=$((failed + 1))
		echo "$cmd: wanted $want, $output; got $status, $got" ;;
	esac
done <<'ROWS'
ok	hello world	hello
ok	hello bob	hello/bob
fail	no route	hello/bob/eve
ok	{"bytes":8,"lines":2}	count	one\ntwo\n
fail	the source is empty	count	
ok	21	half/42
fail	has no half	half/41
fail	1000	half/2000
fail	the remote is busy	flaky
ROWS

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
