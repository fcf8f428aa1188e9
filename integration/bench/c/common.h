/*
 * What hook.c and shim.c share: files, JSON, clock settings, the configuration.
 *
 * These programs do the job of timens-hook and timens-runc with as little as C needs
 * for it, so that a benchmark can tell what Go costs. They take the usual cases alone,
 * and refuse the rest without saying much: do not install them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NANOS 1000000000LL

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "refused");
	exit(1);
}

/* slurp reads a file whole, and ends it with a NUL. */
static char *slurp(int fd, size_t *length)
{
	size_t have = 0, room = 16384;
	char *text = malloc(room);
	for (;;) {
		ssize_t n = read(fd, text + have, room - have - 1);
		if (n < 0)
			fail("read");
		if (n == 0)
			break;
		have += n;
		if (have + 1 == room && !(text = realloc(text, room *= 2)))
			fail("realloc");
	}
	text[have] = 0;
	if (length)
		*length = have;
	return text;
}

/* JSON. Positions are pointers into the text; NULL is nothing, or no JSON. */

static const char *space(const char *p) { return p ? p + strspn(p, " \t\r\n") : NULL; }

static const char *string_end(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && !*++p)
			return NULL;
	return *p ? p + 1 : NULL;
}

static const char *value_end(const char *p)
{
	char open = *p;
	if (open == '"')
		return string_end(p);
	if (open != '{' && open != '[') {
		size_t n = strcspn(p, ",]} \t\r\n");
		return n ? p + n : NULL;
	}
	char close = open == '{' ? '}' : ']';
	for (p = space(p + 1); *p != close; p = space(p + 1)) {
		if (open == '{') {
			if (*p != '"' || !(p = space(string_end(p))) || *p != ':')
				return NULL;
			p = space(p + 1);
		}
		if (!(p = space(value_end(p))) || (*p != ',' && *p != close))
			return NULL;
		if (*p == close)
			break;
	}
	return p + 1;
}

/* member returns the value of a key in a valid object. */
static const char *member(const char *p, const char *key)
{
	if (!p || *p != '{')
		return NULL;
	size_t n = strlen(key);
	for (p = space(p + 1); *p == '"';) {
		const char *end = string_end(p);
		const char *value = space(space(end) + 1);
		if (end - p == (ssize_t)n + 2 && !memcmp(p + 1, key, n))
			return value;
		p = space(value_end(value));
		p = space(*p == ',' ? p + 1 : p);
	}
	return NULL;
}

/* text_of returns a string without escapes, which the keys and paths here have not. */
static char *text_of(const char *p)
{
	if (!p || *p != '"')
		return NULL;
	return strndup(p + 1, string_end(p) - p - 2);
}

/* parse checks that a text is one object. */
static const char *parse(const char *text)
{
	const char *p = space(text), *end;
	if (*p != '{' || !(end = value_end(p)) || *space(end)) {
		errno = 0;
		fail("JSON");
	}
	return p;
}

/* Clock settings: "+36h", "-1d2h3.5s", "90061.5", "=0". */

struct setting {
	bool set, reads; /* reads: what the clock reads, and no offset */
	int64_t ns;
};

static int64_t unit(const char **p)
{
	static const struct { const char *name; int64_t ns; } units[] = {
		{"ms", 1000000}, {"us", 1000}, {"ns", 1}, {"d", 86400 * NANOS}, {"h", 3600 * NANOS}, {"m", 60 * NANOS}, {"s", NANOS},
	};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = strlen(units[i].name);
		if (!strncmp(*p, units[i].name, n)) {
			*p += n;
			return units[i].ns;
		}
	}
	return **p ? 0 : NANOS;
}

static struct setting parse_setting(const char *value)
{
	struct setting s = {0};
	char *text = text_of(value);
	if (!text)
		return s;
	const char *p = text;
	bool minus = *p == '-';
	s.reads = *p == '=';
	p += minus || s.reads || *p == '+';
	do {
		char *end;
		int64_t whole = strtoll(p, &end, 10), part = 0, scale = 1;
		if (end == p)
			fail(text);
		if (*(p = end) == '.')
			for (p++; *p >= '0' && *p <= '9' && scale < NANOS; p++, scale *= 10)
				part = part * 10 + *p - '0';
		int64_t each = unit(&p);
		if (!each || __builtin_mul_overflow(whole, each, &whole) || __builtin_add_overflow(s.ns, whole + part * (each / scale), &s.ns))
			fail(text);
	} while (*p);
	if (minus)
		s.ns = -s.ns;
	s.set = true;
	free(text);
	return s;
}

struct asked { struct setting monotonic, boottime; };

static struct asked parse_asked(const char *annotations)
{
	return (struct asked){parse_setting(member(annotations, "io.timens.monotonic")), parse_setting(member(annotations, "io.timens.boottime"))};
}

static int64_t read_clock(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * NANOS + t.tv_nsec;
}

/* offset of a clock that reads now. It must not go below zero, nor beyond 146 years. */
static int64_t offset(struct setting s, int64_t now, int64_t start)
{
	int64_t o = !s.set ? 0 : s.reads ? s.ns - start : s.ns;
	if (now + o < 0 || now + o > 4611686018LL * NANOS) {
		errno = ERANGE;
		fail("offset");
	}
	return o;
}

/* split is an offset in the kernel's way: its nanoseconds are never below zero. */
static void split(int64_t o, int64_t *secs, int64_t *nanos)
{
	*nanos = (o % NANOS + NANOS) % NANOS;
	*secs = (o - *nanos) / NANOS;
}

/* trusted refuses what others than root and this user could change. */
static void trusted(const struct stat *st, const char *path)
{
	errno = EPERM;
	if ((st->st_uid != 0 && st->st_uid != geteuid()) || (st->st_mode & 022 && !(S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX)))
		fail(path);
}

/* read_config returns the first of the low-level runtimes in the configuration, or NULL. */
static char *read_config(void)
{
	const char *path = getenv("TIMENS_CONFIG");
	char dir[4096], dropins[4200], *runtime = NULL;
	if (!path)
		path = "/etc/oci-timens/config.toml";
	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
	struct stat st, of_dir;
	if (stat(dir, &of_dir))
		return NULL;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		if (fstat(fd, &st) || !S_ISREG(st.st_mode))
			fail(path);
		trusted(&st, path);
		trusted(&of_dir, dir);
		char *text = slurp(fd, NULL), *key = strstr(text, "runtimes = [\"");
		close(fd);
		if (key)
			runtime = strndup(key + 13, strcspn(key + 13, "\""));
	}
	snprintf(dropins, sizeof dropins, "%s/config.d", dir);
	DIR *d = opendir(dropins);
	if (d) { /* the benchmark has none */
		closedir(d);
		fail(dropins);
	}
	return runtime;
}
