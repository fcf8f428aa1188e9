/*
 * The job of timens-hook at createRuntime in C, for runc: the state is read, the
 * configuration looked for, the waiting init recognised, a namespace made by it, its
 * offsets written and read back. See common.h.
 */
#include "common.h"
#include "inject.h"
#include <linux/magic.h>
#include <sys/vfs.h>

/* open_proc makes sure that /proc is of our own PID namespace. */
static int open_proc(void)
{
	struct statfs fs;
	char self[32] = {0};
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || fstatfs(proc, &fs) || fs.f_type != PROC_SUPER_MAGIC || readlinkat(proc, "self", self, sizeof self - 1) < 0 || atoi(self) != getpid())
		fail("/proc");
	return proc;
}

static long status_line(const char *status, const char *key)
{
	const char *at = strstr(status, key);
	if (!at)
		fail(key);
	return strtol(at + strlen(key), NULL, 10);
}

static int open_pid(int proc, pid_t pid)
{
	char name[32];
	snprintf(name, sizeof name, "%d", pid);
	int dir = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail(name);
	return dir;
}

/* check_init makes sure that a process is the "runc init" of the runtime that runs us. */
static void check_init(int proc, int init, const char *status)
{
	size_t length;
	struct stat theirs, exe;
	errno = 0;
	if (namespace_at(proc, "self/ns/mnt") == namespace_at(init, "ns/mnt"))
		fail("it has no mounts of its own");
	char *argv = slurp_at(init, "cmdline", &length);
	if (length < 6 || memcmp(argv + length - 6, "\0init", 6) || fstatat(init, "exe", &theirs, 0))
		fail("no runc init");
	pid_t parent = status_line(status, "\nPPid:\t");
	for (pid_t pid = getppid(); pid > 0;) {
		int dir = open_pid(proc, pid);
		if (pid == parent) {
			if (fstatat(dir, "exe", &exe, 0) || exe.st_size != theirs.st_size)
				fail("another program");
			close(dir);
			return;
		}
		pid = status_line(slurp_at(dir, "status", NULL), "\nPPid:\t");
		close(dir);
	}
	fail("no child of a runtime");
}

/* age is for how long a process has run. */
static int64_t age(int init)
{
	char *stat = slurp_at(init, "stat", NULL), *p = strrchr(stat, ')');
	for (int field = 2; field < 22; field++)
		p = strchr(p + 1, ' ');
	return read_clock(CLOCK_BOOTTIME) - strtoll(p, NULL, 10) * (NANOS / 100);
}

int main(void)
{
	const char *state = parse(slurp(0, NULL)), *annotations = member(state, "annotations"), *number = member(state, "pid");
	char *bundle = text_of(member(state, "bundle"));
	if (!number || !bundle || !member(state, "id"))
		fail("state");
	int dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail(bundle);
	if (!annotations)
		annotations = member(parse(slurp_at(dir, "config.json", NULL)), "annotations");
	struct asked asked = parse_asked(annotations);
	read_config();
	if (!asked.monotonic.set && !asked.boottime.set)
		return 0;

	int proc = open_proc();
	pid_t pid = atoi(number);
	int pidfd = syscall(SYS_pidfd_open, pid, 0), init = open_pid(proc, pid);
	if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0))
		fail("pidfd");
	char *status = slurp_at(init, "status", NULL);
	errno = 0;
	if (status_line(status, "\nTracerPid:\t"))
		fail("it is traced");
	check_init(proc, init, status);
	if (strstr(slurp_at(dir, "config.json", NULL), "\"time"))
		fail("config.json speaks of time namespaces");
	if (namespace_at(proc, "self/ns/time_for_children") != namespace_at(init, "ns/time_for_children"))
		fail("it has a time namespace");

	int64_t since = age(init), monotonic = read_clock(CLOCK_MONOTONIC), boottime = read_clock(CLOCK_BOOTTIME);
	inject(pid, pidfd, init, offset(asked.monotonic, monotonic, monotonic - since), offset(asked.boottime, boottime, boottime - since));
	return 0;
}
