// Cases of the kernel's selftests for time namespaces (tools/testing/selftests/timens
// of Linux 6.12), written anew for a process that is in a shifted namespace already:
// the kernel's own assume that they begin in the initial one, to which offsets are
// absolute, and fail anywhere else.
#ifndef CASES_H
#define CASES_H

#include <stdint.h>
#include <time.h>

#define SECOND 1000000000LL
#define DAY (86400 * SECOND)

// By how many nanoseconds clocks are to be ahead of CLOCK_REALTIME, which no
// namespace shifts.
struct ahead {
	int64_t monotonic, raw, boottime;
};

// A case returns NULL when it has passed, or what why or skip returned.
struct test_case {
	const char *name;
	const char *(*run)(const struct ahead *, int clock);
	int clock;
};

const char *why(const char *format, ...) __attribute__((format(printf, 1, 2)));
// skip is why for what this machine cannot do.
const char *skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

// run_cases prints one line for each case, "ok", "skip" or "not ok", and returns how
// many have failed. The list ends with a name that is NULL.
int run_cases(const char *prefix, const struct test_case *, const struct ahead *);
int report(const char *prefix, const char *name, const char *problem);

int64_t nanoseconds(struct timespec);
struct timespec timespec_of(int64_t);
int64_t by_libc(int clock);    // through the vDSO, where it has the clock
int64_t by_syscall(int clock); // -1 where there is no such clock

// check_clocks reads all clocks in both ways.
const char *check_clocks(const struct ahead *);
const char *check_uptime(const struct ahead *);
const char *check_btime(const struct ahead *);
const char *check_thread(const struct ahead *);
// check_exec has a new program check the clocks, begun by fork or by vfork.
const char *check_exec(const struct ahead *, int by_vfork);

extern const struct test_case clock_cases[], timer_cases[], child_cases[];

// run_nested makes a time namespace, as the kernel's tests do, and runs all cases in it.
int run_nested(const struct ahead *);

#endif
