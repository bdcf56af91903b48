/* SPDX-License-Identifier: MIT */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

void
probe_init(struct probe *probe)
{
	probe->fd = -1;
	probe->len = 0;
	probe->answer[0] = '\0';
}

void
probe_cancel(struct probe *probe)
{
	if (probe->fd != -1)
		close(probe->fd);
	probe->fd = -1;
}

const char *
probe_host(const char *host)
{
	if (host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 ||
	    strcmp(host, "*") == 0)
		return ("127.0.0.1");
	return (strcmp(host, "::") == 0 ? "::1" : host);
}

static int
connect_to(const char *host, int port)
{
	const struct addrinfo	 hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
	};
	struct sockaddr_un	 un = { .sun_family = AF_UNIX };
	const struct sockaddr	*sa = (const struct sockaddr *)&un;
	socklen_t		 sa_len = sizeof(un);
	struct addrinfo		*ai = NULL;
	char			 service[16];
	int			 fd, rc;

	if (host[0] == '/') {
		if (strlen(host) >= sizeof(un.sun_path))
			return (-1);
		memcpy(un.sun_path, host, strlen(host) + 1);
	} else {
		snprintf(service, sizeof(service), "%d", port);
		if (getaddrinfo(host, service, &hints, &ai) != 0)
			return (-1);
		sa = ai->ai_addr;
		sa_len = ai->ai_addrlen;
	}
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	rc = fd == -1 ? -1 : connect(fd, sa, sa_len);
	if (rc == -1 && fd != -1 && errno != EINPROGRESS) {
		close(fd);
		fd = -1;
	}
	if (ai != NULL)
		freeaddrinfo(ai);
	return (fd);
}

int
probe_start(struct probe *probe, const char *host, int port, const char *path)
{
	probe_cancel(probe);
	probe->fd = connect_to(host, port);
	if (probe->fd == -1)
		return (-1);
	probe->connected = false;
	probe->events = POLLOUT;
	/* The request waits where the answer will be. */
	probe->len = (size_t)snprintf(probe->answer, sizeof(probe->answer),
	    "GET %.1000s HTTP/1.1\r\nHost: %.200s\r\nConnection: close\r\n\r\n",
	    path, host[0] == '/' ? "localhost" : host);
	return (0);
}

/* The status when head and body are whole, else 0. */
static int
status_of(const struct probe *probe)
{
	struct str	 rest = { probe->answer, probe->len }, line, word;
	int64_t		 status, body_len = 0;
	const char	*end;

	end = strstr(probe->answer, "\r\n\r\n");
	if (end == NULL)
		return (0);
	line = str_cut(&rest, '\n');
	str_cut(&line, ' ');
	word = str_cut(&line, ' ');
	if (str_int(str_slice(word, 0, 3), 100, 599, &status) == -1)
		return (-1);
	while (rest.s != NULL && rest.s < end) {
		line = str_cut(&rest, '\n');
		word = str_cut(&line, ':');
		if (word.len == 14 &&
		    strncasecmp(word.s, "content-length", 14) == 0 &&
		    line.len > 1 && str_int(str_trim(str_slice(line, 0,
		    line.len - 1)), 0, INT32_MAX, &body_len) == -1)
			return (-1);
	}
	if (probe->len < PROBE_ANSWER_MAX && (int64_t)probe->len <
	    end + 4 - probe->answer + body_len)
		return (0);
	return ((int)status);
}

int
probe_step(struct probe *probe)
{
	ssize_t	n;
	int	status;

	if (!probe->connected) {
		n = send(probe->fd, probe->answer, probe->len, MSG_NOSIGNAL);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return (0);
		if (n != (ssize_t)probe->len) {
			probe_cancel(probe);
			return (-1);
		}
		probe->connected = true;
		probe->events = POLLIN;
		probe->len = 0;
		probe->answer[0] = '\0';
		return (0);
	}
	n = recv(probe->fd, probe->answer + probe->len,
	    PROBE_ANSWER_MAX - probe->len, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return (0);
	if (n > 0) {
		probe->len += (size_t)n;
		probe->answer[probe->len] = '\0';
	}
	status = status_of(probe);
	/* An end before the answer is whole is a failure. */
	if (status == 0 && n > 0)
		return (0);
	probe_cancel(probe);
	return (status == 0 ? -1 : status);
}

struct str
probe_body(const struct probe *probe)
{
	const char	*end = strstr(probe->answer, "\r\n\r\n");

	if (end == NULL)
		return (STR_NULL);
	return (str_from(end + 4));
}
