#define _GNU_SOURCE
#include "report.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;

static int arguments;
static char **argument;

void report_args(int argc, char **argv) { arguments = argc, argument = argv; }

static void link_of(FILE *out, const char *name, const char *path)
{
	char to[4096];
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	to[n < 0 ? 0 : n] = 0;
	fprintf(out, "%s: %s\n", name, to);
}

// lines copies lines of a file: all, or those that begin with one of the words.
static void lines(FILE *out, const char *path, const char *const *words)
{
	char line[4096];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f)) {
		int wanted = !words;
		for (const char *const *w = words; w && *w && !wanted; w++)
			wanted = !strncmp(line, *w, strlen(*w)) && line[strlen(*w)] == ':';
		if (wanted)
			fprintf(out, "%s %s", path, line);
	}
	if (f)
		fclose(f);
}

static const char *const status[] = {
	"Name", "Umask", "TracerPid", "Uid", "Gid", "Groups", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm",
	"CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Cpus_allowed_list", "Mems_allowed_list", "THP_enabled", NULL,
};

static void files(FILE *out)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int open[1024], n = 0;

	while (d && (e = readdir(d)) && n < 1024)
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
			open[n++] = atoi(e->d_name);
	for (int i = 0; i < n; i++) {
		char path[64], to[4096], *number;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", open[i]);
		ssize_t len = readlink(path, to, sizeof(to) - 1);
		to[len < 0 ? 0 : len] = 0;
		if ((number = strstr(to, ":["))) // pipe:[4711]
			*number = 0;
		fprintf(out, "fd %d: %s flags %o %d at %lld\n", open[i], to, fcntl(open[i], F_GETFL), fcntl(open[i], F_GETFD),
			(long long)lseek(open[i], 0, SEEK_CUR));
	}
	if (d)
		closedir(d);
}

static void processes(FILE *out)
{
	char path[64];

	fprintf(out, "pid: %d\nparent: %d\ngroup leader: %d\nsession leader: %d\n", getpid(), getppid(), getpgrp() == getpid(), getsid(0) == getpid());
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	lines(out, path, NULL); // none: they would be lines of the report
	link_of(out, "exe", "/proc/self/exe");
	link_of(out, "cwd", "/proc/self/cwd");
	link_of(out, "root", "/proc/self/root");
	fprintf(out, "executed: %s\nsecure: %lu\n", (char *)getauxval(AT_EXECFN), getauxval(AT_SECURE));
}

static void attributes(FILE *out)
{
	struct itimerval timer;
	int signal = 0, reaper = 0;

	getitimer(ITIMER_REAL, &timer);
	prctl(PR_GET_PDEATHSIG, &signal);
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	fprintf(out, "timer armed: %d\ndeath signal: %d\nsubreaper: %d\n", timer.it_value.tv_sec > 0, signal, reaper);
	fprintf(out, "dumpable: %d\nkeepcaps: %d\nsecurebits: %d\n", prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS));
	fprintf(out, "timer slack: %d\nno huge pages: %d\n", prctl(PR_GET_TIMERSLACK), prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	fprintf(out, "nice: %d\nscheduler: %d\nio priority: %ld\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0), syscall(SYS_ioprio_get, 1, 0));
	fprintf(out, "personality: %x\n", personality(0xffffffff));
}

static void all(FILE *out, enum place place)
{
	static const char *const namespaces[] = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"};

	files(out); // first, before any is opened here
	for (int i = 0; i < arguments; i++)
		fprintf(out, "argument %d: %s\n", i, argument[i]);
	for (char **e = environ; *e; e++)
		fprintf(out, "environment: %s\n", *e);
	processes(out);
	attributes(out);
	lines(out, "/proc/self/status", status);
	lines(out, "/proc/self/limits", NULL);
	lines(out, "/proc/self/cgroup", NULL);
	lines(out, "/proc/self/oom_score_adj", NULL);
	lines(out, "/proc/self/coredump_filter", NULL);
	lines(out, "/proc/self/loginuid", NULL);
	lines(out, "/proc/self/attr/current", NULL);
	if (place == IN_CONTAINER) {
		lines(out, "/proc/self/mountinfo", NULL);
		lines(out, "/proc/sys/kernel/hostname", NULL);
		lines(out, "/proc/self/uid_map", NULL);
		return;
	}
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i]);
		link_of(out, namespaces[i], path);
	}
}

static char *text_of(enum place place, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	all(out, place);
	fclose(out);
	return text;
}

void report(int fd, enum place place)
{
	size_t len, done = 0;
	char *text = text_of(place, &len);

	while (done < len) {
		ssize_t n = write(fd, text + done, len - done);
		if (n < 0)
			_exit(124);
		done += n;
	}
	free(text);
}

int report_to(const char *path, enum place place)
{
	size_t len;
	char *text = text_of(place, &len);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	return fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd);
}
