// Waiting: timer.c, timerfd.c, clock_nanosleep.c and futex.c. The kernel's tests arm most
// timers for an hour and look at what is left; here they also have to fire, and not before.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "cases.h"

#define HOUR (3600 * SECOND)
#define SOON (20 * SECOND / 1000)
// A deadline that was shifted wrongly is days away: a busy machine is given time.
#define NEVER 20

// clock_of names the clock that an alarm clock goes by.
static int clock_of(int clock) { return clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock; }

static const char *left(int64_t ns)
{
	if (ns > HOUR || ns < HOUR - NEVER * SECOND)
		return why("armed for an hour, %.3f s are left", ns / 1e9);
	return NULL;
}

// fired judges a deadline after the wait for it.
static const char *fired(int clock, int64_t deadline)
{
	int64_t now = by_syscall(clock_of(clock));
	return now < deadline ? why("fired %lld ns before its deadline", (long long)(deadline - now)) : NULL;
}

static const char *unavailable(const char *call)
{
	// Alarm clocks need an RTC that can wake the machine (kernel/time/alarmtimer.c).
	if (errno == EOPNOTSUPP || errno == 524 /* ENOTSUPP */ || errno == EINVAL)
		return skip("%s: no such clock here", call);
	return why("%s: %s", call, strerror(errno));
}

static const char *timerfd(const struct ahead *a, int clock)
{
	(void)a;
	struct itimerspec set = {.it_interval = {1, 0}}, got;
	int fd = timerfd_create(clock, TFD_CLOEXEC);
	const char *p = NULL;

	if (fd < 0)
		return unavailable("timerfd_create");
	for (int absolute = 0; !p && absolute < 2; absolute++) {
		int64_t now = absolute ? by_syscall(clock_of(clock)) : 0;
		set.it_value = timespec_of(now + HOUR);
		if (timerfd_settime(fd, absolute ? TFD_TIMER_ABSTIME : 0, &set, NULL) || timerfd_gettime(fd, &got))
			return unavailable("timerfd_settime");
		p = left(nanoseconds(got.it_value));
	}
	if (p)
		return p;
	int64_t deadline = by_syscall(clock_of(clock)) + SOON;
	set.it_value = timespec_of(deadline);
	if (timerfd_settime(fd, TFD_TIMER_ABSTIME, &set, NULL))
		return why("timerfd_settime: %s", strerror(errno));
	struct pollfd wait = {fd, POLLIN, 0};
	if (poll(&wait, 1, NEVER * 1000) != 1)
		return why("timerfd: never fired");
	close(fd);
	return fired(clock, deadline);
}

static const char *timer(const struct ahead *a, int clock)
{
	(void)a;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec set = {.it_interval = {1, 0}}, got;
	timer_t id;
	const char *p = NULL;
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	if (timer_create(clock, &event, &id))
		return unavailable("timer_create");
	for (int absolute = 0; !p && absolute < 2; absolute++) {
		int64_t now = absolute ? by_syscall(clock_of(clock)) : 0;
		set.it_value = timespec_of(now + HOUR);
		if (timer_settime(id, absolute ? TIMER_ABSTIME : 0, &set, NULL) || timer_gettime(id, &got))
			return why("timer_settime: %s", strerror(errno));
		p = left(nanoseconds(got.it_value));
	}
	if (p)
		return p;
	int64_t deadline = by_syscall(clock_of(clock)) + SOON;
	set.it_value = timespec_of(deadline);
	set.it_interval = timespec_of(0);
	if (timer_settime(id, TIMER_ABSTIME, &set, NULL))
		return why("timer_settime: %s", strerror(errno));
	struct timespec limit = {NEVER, 0};
	if (sigtimedwait(&usr1, NULL, &limit) != SIGUSR1)
		return why("timer: never fired");
	timer_delete(id);
	return fired(clock, deadline);
}

static void nothing(int signal) { (void)signal; }

// interrupt has SIGALRM end whatever waits, after so long and again and again.
static void interrupt(int64_t ns)
{
	struct sigaction act = {.sa_handler = nothing};
	struct timeval every = {ns / SECOND, ns % SECOND / 1000};
	struct itimerval set = {every, every};

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &set, NULL);
}

static const char *nanosleep_cases(const struct ahead *a, int clock)
{
	(void)a;
	for (int absolute = 0; absolute < 2; absolute++) {
		int64_t now = absolute ? by_syscall(clock_of(clock)) : 0;
		struct timespec until = timespec_of(now + HOUR), rest = until;
		interrupt(SOON);
		int err = clock_nanosleep(clock, absolute ? TIMER_ABSTIME : 0, &until, &rest);
		interrupt(0);
		errno = err;
		if (err == EPERM || err == EOPNOTSUPP || err == 524 || err == EINVAL)
			return unavailable("clock_nanosleep");
		if (err != EINTR)
			return why("clock_nanosleep for an hour: %s", strerror(err));
		const char *p = absolute ? NULL : left(nanoseconds(rest));
		if (p)
			return p;
	}
	int64_t deadline = by_syscall(clock_of(clock)) + SOON;
	struct timespec until = timespec_of(deadline);
	interrupt(NEVER * SECOND);
	int err = clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL);
	interrupt(0);
	return err ? why("clock_nanosleep: %s", strerror(err)) : fired(clock, deadline);
}

static const char *timed_out(const char *call, long result, int clock, int64_t deadline)
{
	interrupt(0);
	if (result >= 0 || errno != ETIMEDOUT)
		return why("%s returned %ld: %s, want ETIMEDOUT", call, result, strerror(errno));
	return fired(clock, deadline);
}

static const char *futex(const struct ahead *a, int clock)
{
	(void)a;
	int op = FUTEX_WAIT_BITSET | (clock == CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0);
	int value = 0;
	int64_t deadline = by_syscall(clock) + SOON;
	struct timespec until = timespec_of(deadline);

	interrupt(NEVER * SECOND);
	long r = syscall(SYS_futex, &value, op, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY);
	return timed_out("futex", r, clock, deadline);
}

// waitv is the younger call for the same, in no test of the kernel's.
static const char *waitv(const struct ahead *a, int clock)
{
	(void)a;
	int value = 0;
	struct futex_waitv waiter = {.val = 0, .uaddr = (uintptr_t)&value, .flags = FUTEX_32};
	int64_t deadline = by_syscall(clock) + SOON;
	struct timespec until = timespec_of(deadline);

	interrupt(NEVER * SECOND);
	long r = syscall(SYS_futex_waitv, &waiter, 1, 0, &until, clock);
	if (r < 0 && errno == ENOSYS) { // before Linux 5.16
		interrupt(0);
		return skip("no futex_waitv");
	}
	return timed_out("futex_waitv", r, clock, deadline);
}

const struct test_case timer_cases[] = {
	{"timer monotonic", timer, CLOCK_MONOTONIC},
	{"timer boottime", timer, CLOCK_BOOTTIME},
	{"timer boottime-alarm", timer, CLOCK_BOOTTIME_ALARM},
	{"timerfd monotonic", timerfd, CLOCK_MONOTONIC},
	{"timerfd boottime", timerfd, CLOCK_BOOTTIME},
	{"timerfd boottime-alarm", timerfd, CLOCK_BOOTTIME_ALARM},
	{"clock_nanosleep monotonic", nanosleep_cases, CLOCK_MONOTONIC},
	{"clock_nanosleep boottime", nanosleep_cases, CLOCK_BOOTTIME},
	{"clock_nanosleep boottime-alarm", nanosleep_cases, CLOCK_BOOTTIME_ALARM},
	{"futex realtime", futex, CLOCK_REALTIME},
	{"futex monotonic", futex, CLOCK_MONOTONIC},
	{"futex_waitv realtime", waitv, CLOCK_REALTIME},
	{"futex_waitv monotonic", waitv, CLOCK_MONOTONIC},
	{NULL, NULL, 0},
};
