/* SPDX-License-Identifier: MIT */
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "strays.h"

/* Something that forks faster than it is killed is left for the next time. */
#define ROUNDS_MAX	100

static int
kill_round(bool (*ours)(pid_t, const void *), const void *arg)
{
	char	 path[64], text[65536], *s, *end;
	ssize_t	 n;
	pid_t	 pid;
	int	 fd, killed = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
	    (int)getpid());
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (0);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return (0);
	text[n] = '\0';
	/* Cut by the buffer, the last number may be half of one. */
	if ((s = strrchr(text, ' ')) == NULL)
		return (0);
	s[1] = '\0';
	for (s = text; (pid = (pid_t)strtol(s, &end, 10)) > 0; s = end) {
		if (ours(pid, arg))
			continue;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		killed++;
	}
	return (killed);
}

int
strays_kill(bool (*ours)(pid_t, const void *), const void *arg)
{
	int	 i, n, all = 0;

	for (i = 0; i < ROUNDS_MAX; i++) {
		if ((n = kill_round(ours, arg)) == 0)
			break;
		all += n;
	}
	return (all);
}
