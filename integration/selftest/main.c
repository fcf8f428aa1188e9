// Runs all cases: cases MONOTONIC RAW BOOTTIME, by how many nanoseconds these clocks are to
// be ahead of CLOCK_REALTIME. With "nested" before these, it does so in a namespace of its
// own as well.
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

// Of the last why or skip: one case runs at a time.
static char problem[512];
static bool skipped;

const char *why(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem, sizeof(problem), format, args);
	va_end(args);
	skipped = false;
	return problem;
}

const char *skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem, sizeof(problem), format, args);
	va_end(args);
	skipped = true;
	return problem;
}

int report(const char *prefix, const char *name, const char *p)
{
	bool failed = p && !(p == problem && skipped);

	printf("%s %s %s%s%s\n", !p ? "ok" : failed ? "not ok" : "skip", prefix, name, p ? ": " : "", p ? p : "");
	fflush(stdout);
	return failed;
}

int run_cases(const char *prefix, const struct test_case *c, const struct ahead *a)
{
	int failed = 0;

	for (; c->name; c++)
		failed += report(prefix, c->name, c->run(a, c->clock));
	return failed;
}

int main(int argc, char **argv)
{
	const char *mode = argc == 5 ? argv[1] : "";
	struct ahead a;

	if (argc < 4 || argc > 5 || (argc == 5 && strcmp(mode, "check") && strcmp(mode, "nested"))) {
		fprintf(stderr, "usage: cases [nested] MONOTONIC RAW BOOTTIME\n");
		return 2;
	}
	a.monotonic = atoll(argv[argc - 3]);
	a.raw = atoll(argv[argc - 2]);
	a.boottime = atoll(argv[argc - 1]);
	if (!strcmp(mode, "check")) {
		const char *p = check_clocks(&a);
		if (!p)
			p = check_thread(&a);
		if (p)
			printf("not ok exec: %s\n", p);
		return p != NULL;
	}
	int failed = run_cases("here", clock_cases, &a) + run_cases("here", timer_cases, &a) + run_cases("here", child_cases, &a);
	if (!strcmp(mode, "nested"))
		failed += run_nested(&a);
	return failed != 0;
}
