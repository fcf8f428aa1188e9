// Threads, children and programs that are executed: exec.c and vfork_exec.c, and the
// nested namespaces of all the others.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static void *in_thread(void *ahead) { return (void *)check_clocks(ahead); }

const char *check_thread(const struct ahead *a)
{
	pthread_t t;
	void *problem;
	int err = pthread_create(&t, NULL, in_thread, (void *)a);

	if (err == EINVAL) // between unshare and entering, before Linux 6.2
		return skip("this kernel lets it start no threads");
	if (err || (err = pthread_join(t, &problem)))
		return why("thread: %s", strerror(err));
	return problem;
}

static const char *wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return why("waitpid: %s", strerror(errno));
	return status ? why("the new program's wait status is %#x", status) : NULL;
}

const char *check_exec(const struct ahead *a, int by_vfork)
{
	char arg[3][32];
	char *argv[] = {"cases", "check", arg[0], arg[1], arg[2], NULL}, *env[] = {NULL};

	snprintf(arg[0], sizeof(arg[0]), "%lld", (long long)a->monotonic);
	snprintf(arg[1], sizeof(arg[1]), "%lld", (long long)a->raw);
	snprintf(arg[2], sizeof(arg[2]), "%lld", (long long)a->boottime);
	pid_t pid = by_vfork ? vfork() : fork();
	if (pid == 0) {
		execve("/proc/self/exe", argv, env);
		_exit(127);
	}
	if (pid < 0 && by_vfork && errno == EINVAL)
		return skip("this kernel lets it not vfork");
	return pid < 0 ? why("fork: %s", strerror(errno)) : wait_for(pid);
}

static const char *thread(const struct ahead *a, int unused) { return (void)unused, check_thread(a); }

const struct test_case child_cases[] = {
	{"thread", thread, 0},
	{"exec after fork", check_exec, 0},
	{"exec after vfork", check_exec, 1},
	{"thread after vfork", thread, 0},
	{NULL, NULL, 0},
};

// add_offsets writes what the namespace has that this process is in, and more: offsets
// are absolute to the initial namespace.
static const char *add_offsets(const struct ahead *more)
{
	long long s[2], ns[2];
	char text[256];
	FILE *f = fopen("/proc/self/timens_offsets", "r");

	if (!f || fscanf(f, "monotonic %lld %lld boottime %lld %lld", &s[0], &ns[0], &s[1], &ns[1]) != 4)
		return why("reading /proc/self/timens_offsets: %s", strerror(errno));
	fclose(f);
	int len = snprintf(text, sizeof(text), "1 %lld %lld\n7 %lld %lld\n", s[0] + (long long)(more->monotonic / SECOND), ns[0],
			   s[1] + (long long)(more->boottime / SECOND), ns[1]);
	int fd = open("/proc/self/timens_offsets", O_WRONLY);
	if (fd < 0 || write(fd, text, len) != len)
		return why("writing /proc/self/timens_offsets: %s", strerror(errno));
	close(fd);
	return NULL;
}

// inside is what setns has to show.
static const char *inside(int ns, const struct ahead *a)
{
	const char *p;

	if (setns(ns, CLONE_NEWTIME))
		return why("setns: %s", strerror(errno));
	if (!(p = check_clocks(a)) && !(p = check_uptime(a)) && !(p = check_btime(a)))
		p = check_thread(a);
	return p;
}

int run_nested(const struct ahead *own)
{
	static const struct ahead more = {7 * DAY, 7 * DAY, 9 * DAY};
	struct ahead in = {own->monotonic + more.monotonic, own->raw + more.raw, own->boottime + more.boottime};
	int parent = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC), status, failed = 0;

	if (parent < 0 || unshare(CLONE_NEWTIME))
		return report("nested", "unshare", why("unshare: %s", strerror(errno)));
	int child = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	failed += report("nested", "offsets", child < 0 ? why("%s", strerror(errno)) : add_offsets(&more));
	failed += report("nested", "who has unshared stays outside", check_clocks(own));
	failed += report("nested", "so does its thread", check_thread(own));
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		_exit(!!(run_cases("nested", clock_cases, &in) + run_cases("nested", timer_cases, &in) + run_cases("nested", child_cases, &in)));
	failed += report("nested", "fork", pid < 0 || waitpid(pid, &status, 0) != pid || status ? why("wait status %#x", status) : NULL);
	failed += report("nested", "exec of a child enters", check_exec(&in, 0));
	failed += report("nested", "exec of a vforked child enters", check_exec(&in, 1));
	failed += report("nested", "who has vforked stays outside", check_clocks(own));
	failed += report("nested", "setns", inside(child, &in));
	failed += report("nested", "setns back", inside(parent, own));
	return failed;
}
