// Tells all that a process inherits: as a low-level runtime, which it is taken for, what
// the shim has handed on, and as a container's program what it was given. It reads no
// clocks: that is for the probe.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report.h"

// hold tells of every signal until it is asked to end.
static int hold(void)
{
	sigset_t all;
	siginfo_t info;
	struct winsize size;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	dprintf(1, "ready\n");
	for (;;) {
		// Go's runtime sends itself SIGURG, and runc 1.1 hands it on.
		if (sigwaitinfo(&all, &info) < 0 || info.si_signo == SIGURG)
			continue;
		if (info.si_signo == SIGWINCH && !ioctl(0, TIOCGWINSZ, &size))
			dprintf(1, "window %dx%d\n", size.ws_col, size.ws_row);
		dprintf(1, "signal %d\n", info.si_signo);
		if (info.si_signo == SIGTERM)
			return 3;
	}
}

// copy passes on what comes from a file.
static int copy(int fd)
{
	char text[4096];
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		if (write(1, text, n) != n)
			return 1;
	dprintf(1, n < 0 ? "fd %d: error\n" : "fd %d: end\n", fd);
	return 0;
}

static int terminal(void)
{
	struct winsize size = {0};
	char line[256];

	for (int fd = 0; fd < 3; fd++)
		dprintf(1, "fd %d: terminal %d\n", fd, isatty(fd));
	ioctl(0, TIOCGWINSZ, &size);
	dprintf(1, "window %dx%d\nready\n", size.ws_col, size.ws_row);
	ssize_t n = read(0, line, sizeof(line) - 1);
	if (n < 0)
		return 1;
	line[n] = 0;
	dprintf(1, "read %s\n", line);
	return 4;
}

static int inside(const char *mode, const char *arg)
{
	if (!strcmp(mode, "terminal"))
		return terminal();
	if (!strcmp(mode, "copy"))
		return copy(atoi(arg));
	report(1, IN_CONTAINER);
	if (!strcmp(mode, "hold"))
		return hold();
	dprintf(1, "ready\n");
	if (!strcmp(mode, "kill")) {
		signal(atoi(arg), SIG_DFL);
		kill(getpid(), atoi(arg));
		pause();
	}
	return atoi(arg);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts("runc version 1.5.2");
		return 0;
	}
	if (argc > 2 && !strcmp(argv[1], "inside"))
		return inside(argv[2], argc > 3 ? argv[3] : "0");
	report_args(argc, argv);
	const char *to = getenv("TELL_TO");
	if (!to || report_to(to, AS_RUNTIME))
		return 125;
	return 42;
}
