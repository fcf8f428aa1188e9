// Reading clocks: timens.c, procfs.c and, but for its figures, gettime_perf.c.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

// Clocks are told apart by seconds and days; how exact they are is for the probe.
#define CLOSE (SECOND / 2)

int64_t nanoseconds(struct timespec ts) { return ts.tv_sec * SECOND + ts.tv_nsec; }

struct timespec timespec_of(int64_t ns)
{
	struct timespec ts = {ns / SECOND, ns % SECOND};
	return ts;
}

int64_t by_libc(int clock)
{
	struct timespec ts;
	return clock_gettime(clock, &ts) ? -1 : nanoseconds(ts);
}

int64_t by_syscall(int clock)
{
	struct timespec ts;
	return syscall(SYS_clock_gettime, clock, &ts) ? -1 : nanoseconds(ts);
}

static const char *compare(const char *what, int64_t want, int64_t got, int64_t later)
{
	if (got < want - CLOSE || got > want + later + CLOSE)
		return why("%s: reads %.3f, want %.3f", what, got / 1e9, want / 1e9);
	return NULL;
}

static const char *read_clock(int clock, int64_t ahead, int64_t (*by)(int), const char *how)
{
	int64_t before = by_syscall(CLOCK_REALTIME);
	int64_t got = by(clock);
	int64_t took = by_syscall(CLOCK_REALTIME) - before;
	char what[64];

	if (got < 0 && errno == EINVAL)
		return skip("no such clock"); // CLOCK_BOOTTIME_ALARM without an RTC
	if (got < 0)
		return why("clock %d %s: %s", clock, how, strerror(errno));
	snprintf(what, sizeof(what), "clock %d %s", clock, how);
	return compare(what, before + ahead, got, took);
}

static int64_t ahead_of(const struct ahead *a, int clock)
{
	switch (clock) {
	case CLOCK_MONOTONIC_RAW:
		return a->raw;
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		return a->boottime;
	case CLOCK_REALTIME:
		return 0;
	}
	return a->monotonic;
}

static const char *gettime(const struct ahead *a, int clock)
{
	const char *p = read_clock(clock, ahead_of(a, clock), by_syscall, "by system call");
	return p ? p : read_clock(clock, ahead_of(a, clock), by_libc, "through the vDSO");
}

static const int read_by_vdso[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME};
#define BY_VDSO (sizeof(read_by_vdso) / sizeof(read_by_vdso[0]))

const char *check_clocks(const struct ahead *a)
{
	for (size_t i = 0; i < BY_VDSO; i++) {
		const char *p = gettime(a, read_by_vdso[i]);
		if (p)
			return p;
	}
	return NULL;
}

// forbid has clock_gettime(2) fail from now on.
static int forbid(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(f) / sizeof(f[0]), f};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

// vdso reads clocks while the system call fails: they cost what a function call costs.
// The expectation is taken before, by the system call that gettime has checked.
static const char *vdso(const struct ahead *a, int unused)
{
	(void)a, (void)unused;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (forbid())
			_exit(2);
		for (size_t i = 0; i < BY_VDSO; i++)
			if (by_libc(read_by_vdso[i]) < 0)
				_exit(1);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return why("fork: %s", strerror(errno));
	if (status == 1 << 8)
		return skip("the clocks of this machine are read by system call");
	return status ? why("wait status %#x", status) : NULL;
}

const char *check_uptime(const struct ahead *a)
{
	double up;
	FILE *f = fopen("/proc/uptime", "r");

	if (!f || fscanf(f, "%lf", &up) != 1)
		return why("/proc/uptime: %s", strerror(errno));
	fclose(f);
	return compare("/proc/uptime", by_syscall(CLOCK_REALTIME) + a->boottime, up * 1e9, 0);
}

const char *check_btime(const struct ahead *a)
{
	char line[4096];
	long long btime = 0;
	FILE *f = fopen("/proc/stat", "r");

	if (!f)
		return why("/proc/stat: %s", strerror(errno));
	while (!btime && fgets(line, sizeof(line), f))
		sscanf(line, "btime %lld", &btime);
	fclose(f);
	// Whole seconds, and both clocks are rounded.
	if (btime < -a->boottime / SECOND - 1 || btime > -a->boottime / SECOND + 1)
		return why("/proc/stat: btime is %lld, want %lld", btime, (long long)(-a->boottime / SECOND));
	return NULL;
}

static const char *uptime(const struct ahead *a, int unused) { return (void)unused, check_uptime(a); }
static const char *btime(const struct ahead *a, int unused) { return (void)unused, check_btime(a); }

const struct test_case clock_cases[] = {
	{"gettime realtime", gettime, CLOCK_REALTIME},
	{"gettime monotonic", gettime, CLOCK_MONOTONIC},
	{"gettime monotonic-coarse", gettime, CLOCK_MONOTONIC_COARSE},
	{"gettime monotonic-raw", gettime, CLOCK_MONOTONIC_RAW},
	{"gettime boottime", gettime, CLOCK_BOOTTIME},
	{"gettime boottime-alarm", gettime, CLOCK_BOOTTIME_ALARM},
	{"gettime without system calls", vdso, 0},
	{"procfs uptime", uptime, 0},
	{"procfs btime", btime, 0},
	{NULL, NULL, 0},
};
