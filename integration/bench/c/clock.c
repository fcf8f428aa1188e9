/* Prints what it takes to read a clock, in ns: CLOCK_MONOTONIC, CLOCK_BOOTTIME. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

/* The time that the processor was ours: no library and no namespace changes that. */
static double seconds(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double cost(clockid_t clock, int calls)
{
	struct timespec t;
	double began = seconds();
	for (int i = 0; i < calls; i++)
		clock_gettime(clock, &t);
	return (seconds() - began) * 1e9 / calls;
}

int main(int argc, char **argv)
{
	int calls = argc > 1 ? atoi(argv[1]) : 1000000;
	cost(CLOCK_MONOTONIC, calls / 10); /* the first call of a library costs more */
	double monotonic = cost(CLOCK_MONOTONIC, calls);
	printf("%.1f %.1f\n", monotonic, cost(CLOCK_BOOTTIME, calls));
	return 0;
}
